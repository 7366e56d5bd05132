"""Settings: the table against the code, sources and their order, errors, secrets."""

from __future__ import annotations

import json
import os
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from bridge.credentials import Account, Credential, secret_fields
from bridge.settings import Settings, SettingsError, given_settings, is_loopback, load_settings
from bridge.settings_sources import LISTS, flat_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydantic.fields import FieldInfo

TABLE = Path(__file__).parents[1] / "docs" / "settings.md"
SECRET = "s3cr3t-that-must-not-show"
KEYS = {"application_key": "ak", "application_secret": SECRET, "consumer_key": SECRET}

Setenv = "Callable[..., None]"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run in an empty folder, without settings of this machine."""
    for name in os.environ:
        if name.startswith(("VSCOPE_", "OVH_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ovh.config.CONFIG_PATH", [str(tmp_path / "ovh.conf")])
    monkeypatch.setattr("bridge.settings_sources.CONFIG_PLACES", (Path("vscope-bridge.toml"),))


@pytest.fixture
def setenv(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def put(**variables: str) -> None:
        for name, text in variables.items():
            monkeypatch.setenv(name, text)

    return put


def refused(**overrides: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_settings(**overrides)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    return list(caught.value.lines)


# --- the reference table -----------------------------------------------------------------


def type_text(annotation: Any) -> str:
    if get_origin(annotation) in {Union, types.UnionType}:
        (annotation,) = (arg for arg in get_args(annotation) if arg is not type(None))
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) is tuple:
        inner = get_args(annotation)[0]
        return "list of tables" if issubclass(inner, BaseModel) else "list of text"
    names = {str: "text", int: "integer", float: "number", bool: "true or false"}
    names |= {SecretStr: "secret", Path: "path"}
    return names[getattr(annotation, "__origin__", annotation)]


def default_text(default: Any) -> str:
    if default is None:
        return "none"
    return f"`{json.dumps(default)}`"


def row(name: str, variables: list[str], field: FieldInfo) -> str:
    shown = ", ".join(f"`{variable}`" for variable in variables)
    cells = (
        f"`{name}`",
        shown,
        type_text(field.annotation),
        default_text(field.default),
        str(field.description),
    )
    return f"| {' | '.join(cells)} |"


def expected_rows() -> Iterator[str]:
    for name, field in Settings.model_fields.items():
        variables = [f"VSCOPE_{name.upper()}"]
        if name in secret_fields(Settings):
            variables.append(f"VSCOPE_{name.upper()}_FILE")
        yield row(name, variables, field)
    for group, model in LISTS.items():
        for name, field in model.model_fields.items():
            short = [
                variable
                for variable, (own_group, own_name) in flat_names().items()
                if own_group == group and own_name.removesuffix("_file") == name
            ]
            indexed = f"VSCOPE_{group.upper()}__0__{name.upper()}"
            yield row(f"{group}[].{name}", [*short, indexed], field)


def test_table_names_every_setting_and_no_other() -> None:
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    found = [line for line in lines if line.startswith("| `")]
    assert found == list(expected_rows())


def test_every_setting_is_described() -> None:
    for model in (Settings, Account, Credential):
        for name, field in model.model_fields.items():
            assert field.description, name
            assert field.description.endswith("."), name


def test_documented_toml_is_accepted(tmp_path: Path) -> None:
    blocks = TABLE.read_text(encoding="utf-8").split("```toml\n")[1:]
    assert blocks
    (tmp_path / "secrets").mkdir()
    for name in ("token", "ovh-secret", "ovh-consumer-key", "ovh-client-secret"):
        (tmp_path / "secrets" / name).write_text("x\n", encoding="utf-8")
    for block in blocks:
        place = tmp_path / "vscope-bridge.toml"
        place.write_text(block.split("```")[0], encoding="utf-8")
        assert load_settings().accounts


# --- sources and their order -------------------------------------------------------------


def test_defaults_need_an_account() -> None:
    (line,) = refused()
    assert line.startswith("accounts: none; expected an OVHcloud credential")
    assert load_settings(need_account=False).accounts == ()


def test_constructor_beats_environment_beats_file(
    setenv: Callable[..., None], tmp_path: Path
) -> None:
    (tmp_path / "vscope-bridge.toml").write_text(
        "port = 1001\ndeadline_s = 11\nmax_series = 7\n", encoding="utf-8"
    )
    setenv(VSCOPE_PORT="1002", VSCOPE_DEADLINE_S="12")
    settings = load_settings(need_account=False, port=1003)
    assert (settings.port, settings.deadline_s, settings.max_series) == (1003, 12, 7)
    assert settings.config == Path("vscope-bridge.toml")
    assert load_settings(need_account=False, port=None).port == 1002


def test_named_config_beats_the_usual_places(setenv: Callable[..., None], tmp_path: Path) -> None:
    (tmp_path / "vscope-bridge.toml").write_text("port = 1001\n", encoding="utf-8")
    (tmp_path / "a.toml").write_text("port = 1002\n", encoding="utf-8")
    (tmp_path / "b.toml").write_text("port = 1003\n", encoding="utf-8")
    setenv(VSCOPE_CONFIG="a.toml")
    assert load_settings(need_account=False).port == 1002
    assert load_settings(Path("b.toml"), need_account=False).port == 1003


def test_short_variables_make_one_account_and_credential(setenv: Callable[..., None]) -> None:
    setenv(
        VSCOPE_APPLICATION_KEY="ak",
        VSCOPE_APPLICATION_SECRET="as",
        VSCOPE_CONSUMER_KEY="ck",
        VSCOPE_SERVICES="pcc-1, pcc-2",
        VSCOPE_USERNAME="bob",
        VSCOPE_PASSWORD="pw",
        VSCOPE_TOKEN="tk",
        VSCOPE_METRICS_HOSTS='["a.example", "b.example"]',
    )
    settings = load_settings(host="0.0.0.0")  # noqa: S104 -- allowed since there is a credential
    (account,) = settings.accounts
    assert account.consumer_key == SecretStr("ck")
    assert account.services == ("pcc-1", "pcc-2")
    assert settings.credentials == (
        Credential(name="bob", password=SecretStr("pw"), token=SecretStr("tk")),
    )
    assert settings.metrics_hosts == ("a.example", "b.example")


def test_empty_variables_count_as_not_set(setenv: Callable[..., None]) -> None:
    setenv(VSCOPE_PORT="", VSCOPE_TOKEN="", VSCOPE_CONSUMER_KEY="")
    assert load_settings(need_account=False).model_dump() == given_settings().model_dump()


def test_lists_as_json_and_by_number(setenv: Callable[..., None]) -> None:
    setenv(
        VSCOPE_ACCOUNTS=json.dumps([{"name": "eu", **KEYS}, {"name": "ca", "client_id": "id"}]),
        VSCOPE_ACCOUNTS__1__CLIENT_SECRET="cs",
        VSCOPE_ACCOUNTS__1__ENDPOINT="ovh-ca",
        VSCOPE_ACCOUNTS__2__NAME="us",
        VSCOPE_ACCOUNTS__2__CLIENT_ID="id",
        VSCOPE_ACCOUNTS__2__CLIENT_SECRET="cs",
    )
    eu, ca, us = load_settings().accounts
    assert (eu.name, ca.name, us.name) == ("eu", "ca", "us")
    assert (ca.endpoint, ca.client_secret) == ("ovh-ca", SecretStr("cs"))


def test_environment_changes_one_field_of_the_files_account(
    setenv: Callable[..., None], tmp_path: Path
) -> None:
    (tmp_path / "vscope-bridge.toml").write_text(
        '[[accounts]]\nname = "eu"\napplication_key = "ak"\napplication_secret = "as"\n'
        'consumer_key_file = "absent"\n',
        encoding="utf-8",
    )
    setenv(VSCOPE_CONSUMER_KEY="ck")
    (account,) = load_settings().accounts
    assert (account.name, account.consumer_key) == ("eu", SecretStr("ck"))


def test_short_variable_with_several_accounts_is_refused(
    setenv: Callable[..., None], tmp_path: Path
) -> None:
    (tmp_path / "vscope-bridge.toml").write_text(
        '[[accounts]]\nname = "a"\nclient_id = "i"\nclient_secret = "s"\n'
        '[[accounts]]\nname = "b"\nclient_id = "i"\nclient_secret = "s"\n',
        encoding="utf-8",
    )
    setenv(VSCOPE_CLIENT_SECRET=SECRET)
    assert refused() == [
        "VSCOPE_CLIENT_SECRET: cannot be used with 2 accounts; use VSCOPE_ACCOUNTS__0__… instead"
    ]


def test_secrets_from_files(setenv: Callable[..., None], tmp_path: Path) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "cs").write_text("from-toml\n", encoding="utf-8")
    (tmp_path / "token").write_text("  from-env\r\n", encoding="utf-8")
    (tmp_path / "proxy").write_text("http://u:p@proxy:3128\n", encoding="utf-8")
    (folder / "c.toml").write_text(
        '[[accounts]]\nclient_id = "i"\nclient_secret_file = "cs"\n', encoding="utf-8"
    )
    setenv(VSCOPE_TOKEN_FILE=str(tmp_path / "token"), VSCOPE_PROXY_FILE=str(tmp_path / "proxy"))
    settings = load_settings(folder / "c.toml")
    assert settings.accounts[0].client_secret == SecretStr("from-toml")
    assert settings.credentials[0].token == SecretStr("from-env")
    assert settings.proxy == SecretStr("http://u:p@proxy:3128")


def test_ovh_package_variables_and_file(setenv: Callable[..., None], tmp_path: Path) -> None:
    (tmp_path / "ovh.conf").write_text(
        "[default]\nendpoint=ovh-ca\n[ovh-ca]\napplication_key=ak\napplication_secret=as\n"
        "consumer_key=file\n[ovh-us]\nclient_id=id\nclient_secret=cs\n",
        encoding="utf-8",
    )
    (account,) = load_settings().accounts
    assert (account.endpoint, account.consumer_key) == ("ovh-ca", SecretStr("file"))
    setenv(OVH_CONSUMER_KEY="env")
    (account,) = load_settings().accounts
    assert account.consumer_key == SecretStr("env")


def test_account_without_key_takes_that_of_its_endpoint(tmp_path: Path) -> None:
    (tmp_path / "ovh.conf").write_text(
        "[ovh-eu]\nclient_id=eu\nclient_secret=s\n[ovh-us]\nclient_id=us\nclient_secret=s\n",
        encoding="utf-8",
    )
    (tmp_path / "vscope-bridge.toml").write_text(
        '[[accounts]]\nname = "a"\nservices = ["pcc-1"]\n'
        '[[accounts]]\nname = "b"\nendpoint = "ovh-us"\n',
        encoding="utf-8",
    )
    first, second = load_settings().accounts
    assert (first.client_id, first.services, second.client_id) == ("eu", ("pcc-1",), "us")


def test_own_variables_beat_the_ovh_packages(setenv: Callable[..., None]) -> None:
    setenv(
        OVH_APPLICATION_KEY="a",
        OVH_APPLICATION_SECRET="b",
        OVH_CONSUMER_KEY="c",
        VSCOPE_CLIENT_ID="i",
        VSCOPE_CLIENT_SECRET="s",
    )
    (account,) = load_settings().accounts
    assert (account.client_id, account.application_key) == ("i", None)


def test_given_settings_read_nothing(setenv: Callable[..., None], tmp_path: Path) -> None:
    (tmp_path / "vscope-bridge.toml").write_text("port = 1001\n", encoding="utf-8")
    setenv(VSCOPE_PORT="1002", OVH_APPLICATION_KEY="a", VSCOPE_NONSENSE="x")
    settings = given_settings(max_series=3)
    assert (settings.port, settings.accounts, settings.max_series) == (8080, (), 3)


def test_kubernetes_service_variables_are_no_settings(setenv: Callable[..., None]) -> None:
    setenv(
        VSCOPE_PORT="tcp://10.0.0.1:8080",
        VSCOPE_SERVICE_HOST="10.0.0.1",
        VSCOPE_SERVICE_PORT_HTTP="8080",
        VSCOPE_PORT_8080_TCP_ADDR="10.0.0.1",
        VSCOPE_BRIDGE_SERVICE_HOST="10.0.0.1",
        VSCOPE_BRIDGE_PORT="tcp://10.0.0.1:8080",
    )
    assert load_settings(need_account=False).port == 8080


# --- errors ------------------------------------------------------------------------------


def test_every_wrong_setting_has_one_line(setenv: Callable[..., None]) -> None:
    setenv(
        VSCOPE_PORT="99999",
        VSCOPE_LOG_LEVEL="loud",
        VSCOPE_PROT="1",
        VSCOPE_ACCOUNTS=json.dumps([{**KEYS, "endpoint": "ovh-mars", "calls_per_minute": 0}]),
        VSCOPE_PROXY=SECRET,
        VSCOPE_CA_FILE="/no/such.pem",
    )
    lines = refused()
    assert sorted(line.split(":")[0] for line in lines) == sorted(
        [
            "port",
            "log_level",
            "VSCOPE_PROT",
            "accounts[0].endpoint",
            "accounts[0].calls_per_minute",
            "proxy",
            "ca_file",
        ]
    )
    assert "port: '99999': expected less than or equal to 65535" in "\n".join(lines)
    assert "VSCOPE_PROT: there is no such setting; nearest is VSCOPE_PORT" in lines
    assert "accounts[0].endpoint: 'ovh-mars': expected one of ovh-eu, ovh-ca, ovh-us" in lines


@pytest.mark.parametrize(
    ("account", "words"),
    [
        ({}, ["has no credential", "application_key", "client_id"]),
        ({"application_key": "k"}, ["application_secret and consumer_key missing"]),
        (
            {"application_key": "k", "application_secret": SECRET},
            ["consumer_key missing", "vscope-bridge login"],
        ),
        ({"client_id": "k"}, ["client_secret missing next to client_id"]),
        ({"client_secret": SECRET}, ["client_id missing"]),
        ({**KEYS, "client_id": "i"}, ["both an application key and an OAuth2"]),
        ({**KEYS, "consumer_key": ""}, ["consumer_key", "at least 1"]),
        ({**KEYS, "api_url": "ftp://x"}, ["api_url", "expected an address"]),
        ({**KEYS, "api_url": f"http://u:{SECRET}@x/1.0"}, ["without user name and password"]),
        ({**KEYS, "consumer_keyy": SECRET}, ["consumer_keyy: there is no such setting"]),
        ({**KEYS, "consumer_key_file": "x"}, ["consumer_key: is given twice"]),
    ],
)
def test_wrong_account(account: dict[str, str], words: list[str], tmp_path: Path) -> None:
    text = "[[accounts]]\n" + "".join(f'{name} = "{text}"\n' for name, text in account.items())
    (tmp_path / "vscope-bridge.toml").write_text(text + 'endpoint = "ovh-eu"\n', encoding="utf-8")
    (line,) = refused()
    for word in words:
        assert word in line
    assert line.startswith("accounts[0]")


def test_names_must_differ(setenv: Callable[..., None]) -> None:
    setenv(
        VSCOPE_ACCOUNTS=json.dumps([KEYS, KEYS]),
        VSCOPE_CREDENTIALS=json.dumps([{"token": SECRET}, {"token": SECRET}]),
    )
    lines = refused()
    assert [line.split(":")[0] for line in lines] == ["credentials", "accounts"]
    assert "several are 'default'" in lines[1]


@pytest.mark.parametrize(
    ("credential", "words"),
    [({"name": "x"}, "a password, a token"), ({"name": "a:b", "password": SECRET}, "colon")],
)
def test_wrong_credential(
    credential: dict[str, str], words: str, setenv: Callable[..., None]
) -> None:
    setenv(VSCOPE_CREDENTIALS=json.dumps([credential]))
    (line,) = refused()
    assert line.startswith("credentials[0]: ")
    assert words in line


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "bridge.example"])  # noqa: S104
def test_no_open_door_without_credentials(host: str, setenv: Callable[..., None]) -> None:
    (line,) = refused(host=host, need_account=False)
    assert line.startswith(f"host: '{host}': can be reached from other machines")
    setenv(VSCOPE_TOKEN="t")
    assert load_settings(host=host, need_account=False).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_loopback_needs_no_credentials(host: str) -> None:
    assert is_loopback(host)
    assert load_settings(host=host, need_account=False).host == host


def test_wrong_files(setenv: Callable[..., None], tmp_path: Path) -> None:
    assert refused(config=Path("absent.toml")) == [
        "absent.toml: cannot be read: No such file or directory"
    ]
    (tmp_path / "vscope-bridge.toml").write_text("port = = 1\n", encoding="utf-8")
    (line,) = refused()
    assert line.startswith("vscope-bridge.toml: is not TOML: ")
    (tmp_path / "vscope-bridge.toml").write_text(
        f'consumer_key = "{SECRET}"\nnonsense = 1\n', encoding="utf-8"
    )
    assert refused() == [
        "consumer_key: there is no such setting here; it belongs into [[accounts]]",
        "nonsense: there is no such setting",
    ]
    (tmp_path / "vscope-bridge.toml").unlink()
    (tmp_path / "empty").write_text("\n", encoding="utf-8")
    setenv(VSCOPE_TOKEN_FILE="absent", VSCOPE_PASSWORD_FILE="empty")
    assert refused() == [
        f"credentials[0].password: the file {tmp_path}/empty is empty",
        f"credentials[0].token: cannot read the file {tmp_path}/absent: No such file or directory",
    ]


@pytest.mark.parametrize(
    ("variable", "text", "line"),
    [
        ("VSCOPE_ACCOUNTS", f'[{{"consumer_key": "{SECRET}"', "accounts: expected a JSON list"),
        ("VSCOPE_ACCOUNTS", f'"{SECRET}"', "accounts: expected a valid tuple"),
        ("VSCOPE_ACCOUNTS", f'["{SECRET}"]', "accounts[0]: expected"),
        ("VSCOPE_METRICS_HOSTS", "[1", "metrics_hosts: expected a JSON list"),
        ("VSCOPE_METRICS_HOSTS", "https://x", "metrics_hosts: expected host names"),
        ("VSCOPE_CREDENTIALS__X__TOKEN", SECRET, "VSCOPE_CREDENTIALS__X__TOKEN: expected a number"),
        ("VSCOPE_CREDENTIALS__1__TOKEN", SECRET, "VSCOPE_CREDENTIALS__1__TOKEN: expected"),
        ("VSCOPE_CREDENTIALS__0__TOKN", SECRET, "credentials[0].tokn: there is no such setting"),
        ("VSCOPE_CONSUMER_KEYS", SECRET, "VSCOPE_CONSUMER_KEYS: there is no such setting; nearest"),
    ],
)
def test_wrong_variable(variable: str, text: str, line: str, setenv: Callable[..., None]) -> None:
    setenv(**{variable: text})
    assert refused(need_account=False)[0].startswith(line)


# --- secrets -----------------------------------------------------------------------------


def test_no_secret_in_repr_or_errors(setenv: Callable[..., None]) -> None:
    setenv(
        VSCOPE_APPLICATION_KEY="ak",
        VSCOPE_APPLICATION_SECRET=SECRET,
        VSCOPE_CONSUMER_KEY=SECRET,
        VSCOPE_PASSWORD=SECRET,
        VSCOPE_TOKEN=SECRET,
        VSCOPE_PROXY=f"http://u:{SECRET}@proxy:3128",
    )
    settings = load_settings()
    for text in (repr(settings), str(settings), settings.model_dump_json()):
        assert SECRET not in text
    with pytest.raises(ValidationError) as caught:
        Settings(port="x", accounts=({**KEYS, "client_id": "x"},))  # type: ignore[arg-type]
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        given_settings().port = 1
