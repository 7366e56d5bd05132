"""What a person might write where the document says ``format``: right, odd, and hostile."""

from __future__ import annotations

import schemathesis
from hypothesis import strategies as st

from bridge.catalog import catalogue
from bridge.engine.calls import FUNCTIONS
from bridge.engine.functions import AGGREGATORS, DOWNSAMPLERS, FILLS
from bridge.ovh.live import LIVE_KINDS, live_columns

_ODD = st.sampled_from(
    (
        "",
        " ",
        "*",
        "a|b",
        "(x+x+)+y",
        "~[",
        "$vm",
        "é\u2028",
        "\x00",
        "'",
        "\\",
        "}",
        "\ud7ff",
        "9" * 400,
    )
)
_METRICS = sorted(catalogue())
_LABELS = sorted({key for metric in catalogue().values() for key in metric.all_labels})
_COLUMNS = sorted({column.name for kind in LIVE_KINDS for column in live_columns(kind)})

metric = st.one_of(
    st.sampled_from(_METRICS), st.sampled_from([f"live:{kind}" for kind in LIVE_KINDS]), _ODD
)
label = st.one_of(st.sampled_from(_LABELS), st.sampled_from(_COLUMNS), _ODD)
value = st.one_of(
    st.sampled_from(
        ("*", "web*", "~^w", "!*", "vm-100|vm-101", "poweredOn", "true", "literal_or(a)")
    ),
    _ODD,
    st.text(max_size=12),
)
width = st.one_of(
    st.sampled_from(("5m", "1h", "1dc", "0all", "all", "auto", "1y", "999999999999y", "0s", "1ms")),
    st.builds(
        "{}{}".format, st.integers(-1, 10**6), st.sampled_from(("ms", "s", "m", "h", "d", "nc"))
    ),
)
downsample = st.one_of(
    st.builds(
        "{}-{}-{}".format,
        width,
        st.sampled_from(sorted(DOWNSAMPLERS)),
        st.sampled_from(sorted(FILLS)),
    ),
    width,
    _ODD,
)
pairs = st.lists(st.builds("{}={}".format, label, value), max_size=3).map(",".join)
braces = pairs.map("{{{}}}".format)
selector = st.builds("{}{}".format, metric, braces)
target = st.one_of(
    st.sampled_from(_METRICS),
    st.builds("live:{}{}".format, st.sampled_from(LIVE_KINDS), braces),
    st.builds(
        "{}:{}:{}{}".format,
        st.sampled_from(sorted(AGGREGATORS)),
        downsample,
        st.sampled_from(_METRICS),
        braces,
    ),
    st.builds("{}:rate{{counter,{}}}:{}".format, st.just("sum"), st.integers(), metric),
    selector,
    st.text(max_size=30),
)
variable = st.one_of(
    st.builds(
        "{}({})".format,
        st.sampled_from(sorted(FUNCTIONS)),
        st.lists(st.one_of(metric, label, value), max_size=3).map(", ".join),
    ),
    st.text(max_size=20),
)
moment = st.one_of(
    st.sampled_from(("now", "now-6h", "now - 99999999999y", "0", "1e3", "2026-02-30", "-1", "")),
    st.datetimes().map(lambda one: f"{one.isoformat()}Z"),
    st.integers(-(10**16), 10**16).map(str),
)
opentsdb_time = st.one_of(
    st.sampled_from(
        ("1h-ago", "now", "2026/01/31-12:00", "0000/00/00", "1ms-ago", "99999999y-ago")
    ),
    st.integers(-1, 10**14).map(str),
)
timezone = st.sampled_from(
    ("Europe/Paris", "UTC", "utc", "browser", "../etc/passwd", "Etc/../x", "\x00/a", "")
)

_FORMATS = {
    "column": label,
    "date-time": moment,
    "downsample": downsample,
    "filter": value,
    "filters": braces,
    "interval": width,
    "label": label,
    "m": target,
    "metric": metric,
    "moment": moment,
    "opentsdb-time": opentsdb_time,
    "part": st.one_of(st.just("cpu"), _ODD),
    "selector": selector,
    "step": downsample,
    "target": target,
    "timezone": timezone,
    "variable": variable,
}


def register() -> None:
    """Let schemathesis make texts of these formats."""
    for name, strategy in _FORMATS.items():
        schemathesis.openapi.format(name, strategy)
