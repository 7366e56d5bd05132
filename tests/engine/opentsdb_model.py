"""Pure-Python model of OpenTSDB 2.4.1's /api/query for one metric, checked against the real server.

`query(..., stated=True)` applies the differences the bridge states: arithmetic in doubles, and a
series enters a rate group only at its own second point.
"""
# ruff: noqa
# mypy: ignore-errors
import math
from functools import reduce
LMAX, LMIN, DMAX = 2**63 - 1, -2**63, 1.7976931348623157e308
def tdiv(a, b):  # Java integer division
    q = abs(a) // abs(b); return q if (a < 0) == (b < 0) else -q
def wrap(x): return (x + 2**63) % 2**64 - 2**63
def tolong(d): return 0 if d != d else max(LMIN, min(LMAX, int(d)))
INTERP = {**{k: "lerp" for k in "sum min max avg median mult dev diff".split()}, **{k: "zim" for k in "zimsum count first last squareSum none".split()}, "mimmin": "max", "mimmax": "min", "pfsum": "prev"}
def interp(a): return INTERP.get(a, "lerp")
def pct_legacy(v, p):
    v = sorted(v); n = len(v)
    if n == 1: return v[0]
    pos = p * (n + 1) / 100.0
    if pos < 1: return v[0]
    if pos >= n: return v[-1]
    f = math.floor(pos); return v[f - 1] + (pos - f) * (v[f] - v[f - 1])
def pct_r3(v, p):
    v = sorted(v); n = len(v); q = p / 100.0; lim = 0.5 / n
    pos = 0.0 if q <= lim else round_even(n * q)
    return pick(v, pos)
def round_even(x):  # Math.rint
    r = round(x); return float(r)
def pct_r7(v, p):
    v = sorted(v); n = len(v); q = p / 100.0
    pos = 0.0 if q == 0 else (n if q == 1 else 1 + (n - 1) * q)
    return pick(v, pos)
def pick(v, pos):
    n = len(v)
    if n == 1: return v[0]
    if pos < 1: return v[0]
    if pos >= n: return v[-1]
    f = math.floor(pos); return v[f - 1] + (pos - f) * (v[f] - v[f - 1])
PN = {"50": 50.0, "75": 75.0, "90": 90.0, "95": 95.0, "99": 99.0, "999": 99.9}
def stdev(vs):
    n = 0; mean = 0.0; m2 = 0.0
    for x in vs:
        n += 1; d = x - mean; mean += d / n; m2 += d * (x - mean)
    return 0.0 if n < 2 else math.sqrt(m2 / n)
def run_long(a, vs):
    if a in ("sum", "zimsum", "pfsum"): return wrap(sum(vs))
    if a in ("min", "mimmin"): return min(vs)
    if a in ("max", "mimmax"): return max(vs)
    if a == "avg": return tdiv(wrap(sum(vs)), len(vs))
    if a == "median": return sorted(vs)[len(vs) // 2]
    if a == "dev": return tolong(stdev([float(x) for x in vs]))
    if a == "diff": return 0 if len(vs) == 1 else wrap(vs[-1] - vs[0])
    if a == "count": return len(vs)
    if a in ("first", "none"): return vs[0]
    if a == "last": return vs[-1]
    if a == "mult": return wrap(reduce(lambda x, y: wrap(x * y), vs))
    if a == "squareSum": return wrap(sum(x * x for x in vs))
    d = [float(x) for x in vs]
    if a.startswith("ep"): p, e = a[2:].split("r"); return tolong((pct_r3 if e == "3" else pct_r7)(d, PN[p]))
    return tolong(pct_legacy(d, PN[a[1:]]))
def run_double(a, vs):
    nn = [x for x in vs if x == x]
    if a == "first": return vs[0]
    if a == "none": return vs[0]
    if a == "last": return vs[-1]
    if a == "count": return float(len(nn))
    if a == "mult": return reduce(lambda x, y: x * y, vs)
    if a == "diff":  # leading NaNs are skipped, a NaN at the end is not
        k = next((i for i, x in enumerate(vs) if x == x), None)
        return math.nan if k is None else 0.0 if k == len(vs) - 1 else vs[-1] - vs[k]
    if not nn: return math.nan
    if a in ("sum", "zimsum", "pfsum"): return sum(nn, 0.0)
    if a in ("min", "mimmin"): return min(nn)
    if a in ("max", "mimmax"): return max(nn)
    if a == "avg": return sum(nn, 0.0) / len(nn)
    if a == "median": return sorted(nn)[len(nn) // 2]
    if a == "dev": return stdev(nn)
    if a == "squareSum": return sum(x * x for x in nn)
    return pct_legacy(nn, PN[(a[2:].split("r")[0] if a.startswith("ep") else a[1:])])  # ep* ignore their estimation type on doubles
UNIT = {"ms": 1, "s": 1000, "m": 60000, "h": 3600000, "d": 86400000, "w": 604800000}
def parse_ds(s):
    if not s: return None
    p = [x for x in s.split("-")]
    while p and p[-1] == "": p.pop()
    i = p[0]
    if "all" in i: return ("all", p[1], p[2] if len(p) > 2 else "none")
    u = i.lstrip("0123456789"); return (int(i[:-len(u)]) * UNIT[u], p[1], p[2] if len(p) > 2 else "none")
def window(start_ms, end_ms, iv):
    s = start_ms // 1000; e = end_ms // 1000 + 1
    if iv: s -= ((1000 * s) % iv) // 1000
    s -= s % 3600
    if iv:
        e += (iv - (1000 * e) % iv) // 1000
        if e % 3600: e += 3600 - e % 3600
    else: e += 3600 - e % 3600
    return s * 1000, e * 1000
def downsample(pts, ds, ws, we, qs, qe):
    iv, fn, fill = ds; out = []
    if iv == "all":
        v = [float(x) for t, x in pts if qs <= t < qe]
        return [(qs, run_double(fn, v))] if v else []
    first = (ws + iv - 1) // iv * iv; b = {}
    for t, x in pts:
        if t >= first: b.setdefault(t - t % iv, []).append(float(x))
    if fill == "none": return [(t, run_double(fn, b[t])) for t in sorted(b)]
    z = 0.0 if fill == "zero" else math.nan
    return [(t, run_double(fn, b[t]) if t in b else z) for t in range(ws - ws % iv, we - we % iv, iv)]
def rate(pts, ro, stated=False):
    out = []; pt, pv = pts[0] if stated and pts else (0, 0)
    for t, v in (pts[1:] if stated else pts):
        dt = (t - pt) / 1000.0
        d = v - pv
        if isinstance(v, int) and isinstance(pv, int): d = wrap(d)
        if ro.get("counter") and d < 0:
            if ro.get("dropResets"): pt, pv = t, v; continue
            d = ro.get("counterMax", LMAX) - pv + v
            if isinstance(v, int) and isinstance(pv, int): d = wrap(wrap(ro.get("counterMax", LMAX) - pv) + v)
            r = d / dt
            out.append((t, 0.0 if ro.get("resetValue", 0) > 0 and r > ro["resetValue"] else r))
        else: out.append((t, d / dt))
        pt, pv = t, v
    return out
def aggregate(series, a, is_rate, ws, we, stated=False):
    """series: lists of (ms, value).  Returns [(ms, value)]."""
    n = len(series); pos = [0] * n; cur = [None] * n; nxt = [None] * n; m = interp(a)
    for i, s in enumerate(series):
        s[:] = [p for p in s if p[0] >= ws]
        nxt[i] = s[0] if s else None; pos[i] = 1
        if is_rate and not stated:
            if len(s) > 1: cur[i] = s[0]; nxt[i] = s[1]; pos[i] = 2
            else: nxt[i] = None   # a lone first rate is dropped
    out = []; dead = [False] * n
    while True:
        live = [nxt[i][0] for i in range(n) if nxt[i] is not None and nxt[i][0] <= we]
        if not live: return out
        x = min(live); current = None
        for i in range(n):  # a series that had run out before this step leaves the game
            if nxt[i] is None: cur[i] = None
        for i in range(n):
            if nxt[i] is not None and nxt[i][0] == x:
                if current is None: current = i
                cur[i] = nxt[i]; s = series[i]
                nxt[i] = s[pos[i]] if pos[i] < len(s) else None; pos[i] += 1
        isint = not is_rate and all(isinstance(p[1], int) for p in cur + nxt if p is not None)
        vals = []
        for i in range(n):
            if cur[i] is None: continue
            x0, y0 = cur[i]
            if x0 == x or is_rate: vals.append(y0); continue
            x1, y1 = nxt[i]
            if m == "lerp": vals.append(y0 + tdiv((x - x0) * (y1 - y0), x1 - x0) if isint else y0 + (x - x0) * (float(y1) - y0) / (x1 - x0))
            elif m == "zim": vals.append(0)
            elif m == "max": vals.append(LMAX if isint else DMAX)
            elif m == "min": vals.append(LMIN if isint else -DMAX)
            else: vals.append(y0)
        out.append((x, run_long(a, vals) if isint else run_double(a, [float(v) for v in vals])))
def query(series, start_ms, end_ms, aggregator, downsample_=None, is_rate=False, ro=None, stated=False):
    """series: list of (tags, [(ms, value)]) in TSUID order; one group.  Returns None when nothing was scanned, else [(ms, value)]."""
    ds = parse_ds(downsample_); iv = ds[0] if ds and ds[0] != "all" else 0
    ws, we = window(start_ms, end_ms, iv); sets = []
    for tags, pts in series:
        p = sorted((t, v) for t, v in pts if ws <= t - t % 3600000 < we)
        if stated: p = [(t, float(v)) for t, v in p]
        if p: sets.append(p)
    if not sets: return None
    its = []
    for p in sets:
        if ds: p = downsample(p, ds, ws, we, start_ms, end_ms)
        if is_rate: p = rate(p, ro or {}, stated)
        its.append(p)
    return [(t, v) for t, v in aggregate(its, aggregator, is_rate, ws, we, stated) if start_ms <= t <= end_ms]
