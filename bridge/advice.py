"""What to do about what is wrong: the texts of the page and of docs/operations.md.

Reasons are sentences made where something failed; what they have in common is a phrase,
which is also what a person would look for.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Advice:
    """One row of the table.

    Attributes:
        says: A phrase of the reason; after ``...`` it goes on in any way.
        do: What to do.
        harmless: Nothing is broken.
    """

    says: str
    do: str
    harmless: bool = False

    def matches(self, reason: str) -> bool:
        """Tell whether a reason holds the phrase."""
        return self.says.partition("...")[0] in reason


ADVICE = (
    Advice(
        "the inventory is being read for the first time",
        "Wait; at 60 calls a minute that can take a minute.",
        harmless=True,
    ),
    Advice(
        "OVHcloud does not accept the credential",
        "Wrong, expired or never confirmed: `vscope-bridge login`, then `check`.",
    ),
    Advice(
        'the credential lacks the right "GET /..."',
        "Ask for a new key: `vscope-bridge login` asks for all rights needed.",
    ),
    Advice(
        "OVHcloud refused the signature",
        "Wrong application secret or consumer key, or this machine's clock is off.",
    ),
    Advice(
        "the service is expired",
        "Nothing of it can be read until it is renewed; others are not affected.",
    ),
    Advice(
        "OVHcloud says too many calls",
        "Wait. If it goes on, lower `calls_per_minute`: others use the same credential.",
    ),
    Advice("no connection to OVHcloud", "The way out: network, firewall, or the setting `proxy`."),
    Advice(
        "the name of OVHcloud's API cannot be resolved",
        "Name resolution on this machine; in a container, its DNS servers.",
    ),
    Advice(
        "the proxy does not work", "`proxy`: its address, and whether it lets this machine out."
    ),
    Advice("TLS failed", "Behind a proxy that opens TLS, name its authority in `ca_file`."),
    Advice(
        "OVHcloud did not answer in time",
        "Wait: it is asked again by itself. What was read before stays in use, with its age.",
    ),
    Advice(
        "OVHcloud answered HTTP",
        "Wait: it is asked again by itself. If it goes on, OVHcloud's support wants the query "
        "number.",
    ),
    Advice(
        "OpenTSDB is not written to",
        "Nothing is lost: what is recorded waits on the disk and follows by itself. See to the "
        "server, or what it names.",
    ),
    Advice(
        "the spool was full",
        "OpenTSDB was away for longer than `spool_mb` lasts. See to it, or give the spool more "
        "room; what is lost is lost.",
    ),
    Advice(
        "OpenTSDB does not take",
        "The series that is named: its characters cannot be stored, or the server takes no new "
        "names. The others are not affected.",
    ),
    Advice(
        "OpenTSDB refuses names it has not seen",
        "Set it as it says, and restart the TSDs one after the other.",
    ),
    Advice(
        "OpenTSDB cannot read an hour",
        "Nothing, where one bridge alone records each service. Else set it as it says, and "
        "restart the TSDs one after the other.",
        harmless=True,
    ),
    Advice(
        "refused the connection",
        "The server of the history is down, or something between blocks the way to it.",
    ),
    Advice(
        "recording has stopped",
        "The disk is full, or another reason it names. Queries go on; recording resumes by itself.",
    ),
    Advice(
        "nothing is recorded",
        "The recording cannot be opened: another bridge has it, or a file is damaged. "
        "Tried again every 30 s.",
    ),
    Advice(
        "OVHcloud does not offer vScope history",
        "Nothing; panels of history say so, all else works. Asked again daily.",
        harmless=True,
    ),
)


def advice_for(reason: str) -> Advice | None:
    """Return what is known about a reason; None for one never met."""
    return next((one for one in ADVICE if one.matches(reason)), None)
