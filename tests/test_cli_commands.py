"""What ``check``, ``login`` and ``query`` find out, against the simulated OVHcloud."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import re
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from bridge.commands import login as login_module
from bridge.commands import progress as progress_module
from bridge.commands.check import run_check
from bridge.commands.errors import CommandError, UsageError
from bridge.commands.login import Application, print_policy, run_login
from bridge.commands.query import Asked, Format, Rows, run_query, write_rows
from bridge.commands.rights import Rule, missing_rules, reading_rules, token_rules
from bridge.demo import DemoOptions, create_simulator, demo_account
from bridge.ovh.errors import OvhCredentialError
from bridge.settings import Settings, SettingsError, given_settings
from tests.servers import serving

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z


def settings_for(url: str, *, oauth2: bool = False, **changes: Any) -> Settings:
    account = demo_account(url, oauth2=oauth2).model_copy(
        update={"calls_per_minute": 6000, **changes}
    )
    return given_settings(accounts=(account,), metrics_hosts=("127.0.0.1",))


async def key_with(url: str, rules: list[Rule]) -> SecretStr:
    """Obtain a consumer key that has just these rules."""
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(
            f"{url}/1.0/auth/credential",
            json={"accessRules": [{"method": r.method, "path": r.path} for r in rules]},
            headers={"X-Ovh-Application": "simulatedappkey0"},
        )
        body = answer.json()
        await client.get(body["validationUrl"])
    return SecretStr(body["consumerKey"])


async def checked(settings: Settings, capsys: pytest.CaptureFixture[str]) -> tuple[bool, list[str]]:
    well = await run_check(settings)
    return well, capsys.readouterr().out.splitlines()


# --- check -------------------------------------------------------------------------------


async def test_check_names_the_missing_rule(
    simulator: str, capsys: pytest.CaptureFixture[str]
) -> None:
    key = await key_with(simulator, [Rule("GET", "/dedicatedCloud")])
    well, lines = await checked(settings_for(simulator, consumer_key=key), capsys)
    assert not well
    assert "failed   rights      demo: lacks GET /dedicatedCloud/*" in lines
    assert any(line.startswith("failed   service ") for line in lines)


async def test_check_warns_about_the_token_right(
    simulator: str, capsys: pytest.CaptureFixture[str]
) -> None:
    key = await key_with(simulator, list(reading_rules()))
    well, lines = await checked(settings_for(simulator, consumer_key=key), capsys)
    (line,) = [line for line in lines if line.startswith("warning  rights")]
    assert "lacks POST /dedicatedCloud/*/user/*/metricsToken" in line
    assert not well
    assert any(line.startswith("failed   token") for line in lines)


async def test_check_of_a_service_account(
    simulator: str, capsys: pytest.CaptureFixture[str]
) -> None:
    well, lines = await checked(settings_for(simulator, oauth2=True), capsys)
    assert well
    assert any(line.startswith("ok       rights      demo: given by IAM") for line in lines)


async def test_check_of_a_wrong_key(simulator: str, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = SecretStr("no-such-consumer-key-0123456789")
    well, lines = await checked(settings_for(simulator, consumer_key=wrong), capsys)
    assert not well
    assert lines[1].startswith("failed   credential  demo: ")
    assert wrong.get_secret_value() not in "\n".join(lines)


async def test_check_names_the_protocol_in_use(
    simulator: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def about(subject: str, lines: list[str]) -> str:
        (line,) = [line for line in lines if line.split()[1] == subject]
        return line

    well, lines = await checked(settings_for(simulator), capsys)
    assert well
    assert re.fullmatch(r"ok .* history at \S+/warp10 and \S+/opentsdb", about("token", lines))
    assert re.fullmatch(r"ok .*: Warp 10, because it is preferred", about("protocol", lines))
    settings = settings_for(simulator).model_copy(update={"protocol": "opentsdb"})
    well, lines = await checked(settings, capsys)
    assert re.fullmatch(r"ok .*: OpenTSDB, because protocol is set .*", about("protocol", lines))


async def test_check_warns_where_warp10_does_not_answer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serving(create_simulator(DemoOptions(vms=5, hosts=2, datacenters=1))) as url:
        async with httpx.AsyncClient(trust_env=False) as client:
            fault = {"target": "warp10", "mode": "status", "status": 503}
            await client.post(f"{url}/_simulator/faults", json=fault)
        well, lines = await checked(settings_for(url), capsys)
    assert well
    (line,) = [line for line in lines if line.split()[1] == "protocol"]
    assert line.startswith("warning  protocol")
    assert re.search(r"OpenTSDB, because OVHcloud's history of \S+ \(Warp 10\) failed", line)


async def test_check_without_token_and_with_expiry(capsys: pytest.CaptureFixture[str]) -> None:
    options = DemoOptions(vms=5, hosts=2, datacenters=1, offer_token=False, expired_service=True)
    with serving(create_simulator(options)) as url:
        async with httpx.AsyncClient(trust_env=False) as client:
            await client.post(f"{url}/_simulator/credential", json={"expiration": NOW * 2})
        well, lines = await checked(settings_for(url), capsys)
    assert any(re.match(r"ok +credential +demo: valid at .*, expires 20\d\d-", x) for x in lines)
    assert any(line.startswith("warning  token ") for line in lines)
    (expired,) = [line for line in lines if line.startswith("failed ")]
    assert re.match(r"failed +service +pcc-\S+ is expired: ", expired)
    assert not well


# --- rights ------------------------------------------------------------------------------


def rules(*texts: str) -> list[dict[str, str]]:
    return [dict(zip(("method", "path"), text.split(), strict=True)) for text in texts]


@pytest.mark.parametrize(
    ("granted", "services", "missing"),
    [
        (["GET /*"], (), []),
        (["GET /dedicatedCloud*"], (), []),
        (["GET /dedicatedCloud", "GET /dedicatedCloud/*"], ("pcc-1",), []),
        (["GET /dedicatedCloud/*"], (), ["GET /dedicatedCloud"]),
        (["GET /dedicatedCloud"], (), ["GET /dedicatedCloud/*"]),
        (["POST /*"], (), ["GET /dedicatedCloud", "GET /dedicatedCloud/*"]),
        (
            ["GET /dedicatedCloud", "GET /dedicatedCloud/pcc-1*"],
            ("pcc-1", "pcc-2"),
            ["GET /dedicatedCloud/pcc-2", "GET /dedicatedCloud/pcc-2/*"],
        ),
    ],
)
def test_missing_rules(granted: list[str], services: tuple[str, ...], missing: list[str]) -> None:
    found = missing_rules(reading_rules(services), rules(*granted))
    assert [str(rule) for rule in found] == missing


def test_no_list_of_rules() -> None:
    assert missing_rules(token_rules(), None) == ()
    assert missing_rules(token_rules(), "nonsense") == token_rules()


# --- login -------------------------------------------------------------------------------


@pytest.fixture
def no_sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in os.environ:
        if name.startswith(("VSCOPE_", "OVH_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ovh.config.CONFIG_PATH", [])
    monkeypatch.setenv("VSCOPE_APPLICATION_SECRET", "simulated-application-secret-000")
    return tmp_path


def application(url: str) -> Application:
    return Application(api_url=f"{url}/1.0", application_key="simulatedappkey0")


async def test_login_waits_for_the_person(
    simulator: str, no_sources: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = no_sources / "key"
    asked = asyncio.create_task(
        run_login(application(simulator), wait_s=60, output=output, every_s=0.05)
    )
    written = ""
    while "credentialToken" not in written:
        await asyncio.sleep(0.01)
        assert not asked.done()
        written += capsys.readouterr().out
    await asyncio.sleep(0.2)
    assert not asked.done()
    (link,) = re.findall(r"http\S+", written)
    async with httpx.AsyncClient(trust_env=False) as client:
        await client.get(link)
    await asked
    written += capsys.readouterr().out
    key = output.read_text(encoding="utf-8").strip()
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert key not in written
    assert f'consumer_key_file = "{output}"' in written
    settings = settings_for(simulator, consumer_key=SecretStr(key))
    assert await run_check(settings)


async def test_login_shows_the_key_once_it_is_valid(
    simulator: str,
    no_sources: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del no_sources
    request = login_module._request

    async def confirmed(settings: Settings, account: Any) -> tuple[str, str]:
        key, link = await request(settings, account)
        async with httpx.AsyncClient(trust_env=False) as client:
            await client.get(link)
        return key, link

    monkeypatch.setattr(login_module, "_request", confirmed)
    await run_login(application(simulator), wait_s=5, output=None)
    assert re.search(r"export VSCOPE_CONSUMER_KEY=[0-9a-f]{32}\n", capsys.readouterr().out)


async def test_login_gives_up(simulator: str, no_sources: Path) -> None:
    del no_sources
    with pytest.raises(CommandError, match="nobody confirmed the key within 0 seconds"):
        await run_login(application(simulator), wait_s=0, output=None, every_s=0.01)


async def test_login_with_a_wrong_application(simulator: str, no_sources: Path) -> None:
    del no_sources
    wrong = Application(api_url=f"{simulator}/1.0", application_key="nobody")
    with pytest.raises(OvhCredentialError, match="application key is invalid"):
        await run_login(wrong, wait_s=0, output=None)
    nowhere = Application(api_url="http://127.0.0.1:1/1.0", application_key="nobody")
    with pytest.raises(CommandError, match=r"cannot reach http://127\.0\.0\.1:1/1\.0"):
        await run_login(nowhere, wait_s=0, output=None)


async def test_login_says_what_is_missing(
    no_sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VSCOPE_APPLICATION_SECRET")
    with pytest.raises(UsageError, match=r"create them at https://ca\.api\.ovh\.com/createApp/"):
        await run_login(Application(endpoint="ovh-ca"), wait_s=0, output=None)
    (no_sources / "vscope-bridge.toml").write_text(
        '[[accounts]]\nname = "a"\nclient_id = "i"\n[[accounts]]\nname = "b"\n', encoding="utf-8"
    )
    with pytest.raises(UsageError, match=r"several accounts are configured \(a, b\)"):
        await run_login(Application(), wait_s=0, output=None)
    with pytest.raises(UsageError, match="there is no account called 'c'"):
        await run_login(Application(account="c"), wait_s=0, output=None)
    with pytest.raises(UsageError, match="--service-account"):
        await run_login(Application(account="a"), wait_s=0, output=None)


async def test_login_says_what_cannot_be_read(
    no_sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del no_sources
    with pytest.raises(SettingsError, match=r"^absent\.toml: cannot be read"):
        await run_login(Application(config=Path("absent.toml")), wait_s=0, output=None)
    monkeypatch.setenv("VSCOPE_ACCOUNTS", "[{")
    with pytest.raises(SettingsError, match=r"^accounts: expected a JSON list"):
        print_policy(Application())


def test_policy_for_a_service_account(no_sources: Path, capsys: pytest.CaptureFixture[str]) -> None:
    del no_sources
    print_policy(Application(endpoint="ovh-ca", services=("pcc-1",)))
    policy = json.loads(capsys.readouterr().out)
    assert policy["resources"] == [{"urn": "urn:v1:ca:resource:pccVMware:pcc-1"}]
    actions = {rule["action"] for rule in policy["permissions"]["allow"]}
    assert {
        "pccVMware:apiovh:datacenter/vm/get",
        "pccVMware:apiovh:user/metricsToken/create",
    } <= actions
    assert not any(action.endswith("*") for action in actions)


# --- query -------------------------------------------------------------------------------


async def test_query_history_and_live(simulator: str) -> None:
    settings = settings_for(simulator)
    target = "avg:vscope.vm.cpu.usage.perc{cluster=*}"
    rows = await run_query(settings, Asked(target, "now-2h", points=12))
    assert rows.names[:2] == ("time", "metric")
    assert rows.names[-1] == "value"
    cluster = rows.names.index("cluster")
    assert {row[cluster] for row in rows.cells} == {"Cluster1", "Cluster2"}
    per_cluster = [str(row[0]) for row in rows.cells if row[cluster] == "Cluster1"]
    assert per_cluster == sorted(per_cluster)
    assert 2 < len(per_cluster) <= 14
    text = write_rows(rows, Format.CSV)
    assert len(list(csv.DictReader(io.StringIO(text)))) == len(rows.cells)
    live = await run_query(settings, Asked("live:vm"))
    assert "power_state" in live.names
    objects = json.loads(write_rows(live, Format.JSON))
    assert set(objects[0]) == set(live.names)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Asked("live:hst"), "did you mean host"),
        (Asked("live:host", "now", "now-1h"), "is not before"),
        (Asked("live:host", "then"), "'then' is no time"),
    ],
)
async def test_query_usage(simulator: str, asked: Asked, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        await run_query(settings_for(simulator), asked)


async def test_query_says_why_nothing_can_be_read(simulator: str) -> None:
    wrong = SecretStr("no-such-consumer-key-0123456789")
    with pytest.raises(CommandError, match="does not accept the credential"):
        await run_query(settings_for(simulator, consumer_key=wrong), Asked("live:host"))


def test_tables() -> None:
    rows = Rows(
        ("time", "name", "ok", "value"),
        frozenset({"time"}),
        ((1_767_225_600_000, "a\tb", True, 1.5), (None, "c,d", None, 100.0)),
    )
    assert write_rows(rows, Format.TABLE) == (
        "time                  name  ok    value\n"
        "2026-01-01T00:00:00Z  a b   true    1.5\n"
        "                      c,d           100"
    )
    assert write_rows(rows, Format.CSV) == (
        'time,name,ok,value\n2026-01-01T00:00:00Z,a\tb,true,1.5\n,"c,d",,100'
    )
    assert json.loads(write_rows(rows, Format.JSON))[1] == {
        "time": None,
        "name": "c,d",
        "ok": None,
        "value": 100.0,
    }
    empty = Rows(("time", "value"), frozenset({"time"}), ())
    assert write_rows(empty, Format.TABLE) == "time  value"
    assert write_rows(empty, Format.JSON) == "[]"


async def test_a_time_that_is_none_is_a_usage_error() -> None:
    settings = given_settings()
    for asked in (Asked("vscope.vm.net.rx", start="soon"), Asked("vscope.vm.net.rx", end="x")):
        with pytest.raises(UsageError, match="is no time; expected now-6h"):
            await run_query(settings, asked)


# --- progress ----------------------------------------------------------------------------


async def test_long_work_is_announced_on_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with progress_module.progress("Quick"):
        pass
    monkeypatch.setattr(progress_module, "FIRST_S", 0.0)
    written = ""
    async with progress_module.progress("Slow"):
        while not written:
            await asyncio.sleep(0.001)
            written = capsys.readouterr().err
    assert written.startswith("Slow ... 0 s\n")
