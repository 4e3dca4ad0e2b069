"""The schema, its messages, and the shipped file that explains it."""

from __future__ import annotations

import contextlib
import importlib.util
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facelatch.config.file import Config, load, parse
from facelatch.errors import ConfigError

REPO = Path(__file__).resolve().parents[2]
SHIPPED = REPO / "config" / "facelatch.toml"


def keys() -> list[tuple[str, str]]:
    return [
        (section, key)
        for section, field in Config.model_fields.items()
        for key in field.annotation.model_fields  # type: ignore[union-attr]
    ]


def default(section: str, key: str) -> Any:
    return getattr(getattr(Config(), section), key)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "facelatch.toml"
    path.write_text(text, encoding="utf-8")
    return path


def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_config", REPO / "tests" / "golden" / "make_config.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_shipped_file_is_what_the_schema_says():
    assert SHIPPED.read_text(encoding="utf-8") == maker().render(), "run: python tests/golden/make_config.py"


def test_the_shipped_file_loads_to_the_defaults():
    assert load(SHIPPED) == Config()


@pytest.mark.parametrize(("section", "key"), keys())
def test_every_key_stands_in_the_shipped_file_with_its_default(section: str, key: str):
    document = tomllib.loads(SHIPPED.read_text(encoding="utf-8"))
    if default(section, key) is None:
        assert key not in document[section]
        assert f"\n# {key} = " in SHIPPED.read_text(encoding="utf-8")
    else:
        assert document[section][key] == default(section, key)


@pytest.mark.parametrize(("section", "key"), keys())
def test_every_key_is_explained(section: str, key: str):
    field = Config.model_fields[section].annotation.model_fields[key]  # type: ignore[union-attr]
    assert field.description, f"{section}.{key} has no docstring"
    assert field.description.endswith(".")


@pytest.mark.parametrize(("section", "key"), [pair for pair in keys() if isinstance(default(*pair), (int, float))])
def test_every_number_has_bounds_that_hold(section: str, key: str):
    for absurd in (-1e9, 1e9, float("inf"), float("nan")):
        with pytest.raises(ConfigError):
            parse({section: {key: absurd}}, origin="x")


def test_an_empty_file_is_all_defaults(tmp_path: Path):
    assert load(written(tmp_path, "")) == Config()


def test_all_faults_come_at_once_each_with_file_key_value_rule_and_meaning(tmp_path: Path):
    path = written(
        tmp_path,
        """
        [door]
        unlock_seconds = 500.0
        [camera]
        source = "webcam"
        [session]
        required_matches = "three"
        requird_matches = 3
        """,
    )
    with pytest.raises(ConfigError) as caught:
        load(path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 4
    assert all(line.startswith(f"{path}: ") for line in lines)
    text = str(caught.value)
    assert "door.unlock_seconds = 500.0: Input should be less than or equal to 120" in text
    assert "(How long a grant unlocks it)" in text
    assert "camera.source = 'webcam': Input should be 'picamera2', 'v4l2' or 'files'" in text
    assert "session.required_matches = 'three': must be a whole number, without quotes" in text
    assert "session.requird_matches: unknown key (did you mean 'required_matches'?)" in text
    assert caught.value.hint
    assert caught.value.exit_code == 3


def test_a_rule_between_two_keys_is_told_along_with_faults_elsewhere(tmp_path: Path):
    text = "[door]\nunlock_seconds = 20.0\n[quality]\nmin_brightness = 250.0\n[camera]\nrate_fps = 500.0\n"
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, text))
    told = [line.removeprefix(f"{tmp_path / 'facelatch.toml'}: ").split()[0] for line in str(caught.value).splitlines()]
    assert sorted(told) == ["camera.rate_fps", "door:", "quality:"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[dor]\n", "dor: unknown key (did you mean 'door'?)"),
        ("[storage]\nzzz = 1\n", "storage.zzz: unknown key (known here: state_directory)"),
        ("door = 3\n", "door = 3: must be a section, [door]"),
        ("[session]\nrequired_matches = 3.0\n", "session.required_matches = 3.0: must be a whole number, without"),
        ("[gpio]\nlock_pin = true\n", "gpio.lock_pin = True: must be a whole number"),
        ('[gpio]\nlock_pin = "17"\n', "gpio.lock_pin = '17': must be a whole number, without quotes"),
        ('[door]\nunlock_seconds = "5"\n', "door.unlock_seconds = '5': must be a number, without quotes"),
        ("[gpio]\nled_pins = 27\n", "gpio.led_pins = 27: must be a list, in [brackets] (One pin"),
        ('[enrolment]\nconfirm = "no"\n', "enrolment.confirm = 'no': must be true or false, without quotes"),
        ("[storage]\nstate_directory = 3\n", "storage.state_directory = 3: must be text, in \"quotes\""),
        ("[gpio]\nled_pins = [99]\n", "gpio.led_pins.0 = 99: Input should be less than or equal to 27"),
        (
            '[gpio]\nbutton_pin = "22"\n',
            "gpio.button_pin = '22': must be a GPIO number from 0 to 27 without quotes, or \"none\" (The enrolment",
        ),
        ("[gpio]\nbuzzer_pin = 28\n", "gpio.buzzer_pin = 28: must be a GPIO number from 0 to 27"),
        ("[gpio]\nbutton_pin = true\n", "gpio.button_pin = True: must be a GPIO number from 0 to 27"),
        ("[gpio]\nlock_pin = 22\n", "every device needs a pin of its own"),
        ("[gpio]\nled = 'rgb'\n", "led_pins must name 3 pin(s) for led = 'rgb'"),
        ("[door]\nunlock_seconds = 20\n", "door: max_unlock_seconds = 10.0 must be at least unlock_seconds = 20.0"),
        ("[finder]\nkind = 'yunet'\n", "finder: model must name the YuNet file"),
        ("[quality]\nmin_brightness = 250\n", "quality: min_brightness = 250.0 must be below max_brightness = 240.0"),
        (
            "[enrolment]\nhold_seconds = 20.0\n",
            "enrolment: hold_seconds = 20.0 must be below stuck_after_seconds = 20.0",
        ),
        ("[door]\nunlock_seconds = nan\n", "door.unlock_seconds = nan"),
        ("[door\n", "not TOML"),
        pytest.param(f"a = {'[' * 100_000}", "not TOML", id="nested without end"),
        ("[door]\nunlock_seconds = 1\nunlock_seconds = 2\n", "not TOML"),
    ],
)
def test_a_fault_is_named(tmp_path: Path, text: str, expected: str):
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, text))
    assert expected in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path))


@pytest.mark.parametrize(
    "text", ['[gpio]\nbutton_pin = "22"\n', '[control]\nrights = { alice = ["stauts"] }\n', "[control]\nrights = 3\n"]
)
def test_a_fault_is_one_line_also_of_a_key_with_alternatives_or_a_long_meaning(tmp_path: Path, text: str):
    """A second line would read as a second fault."""
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, text))
    assert len(str(caught.value).splitlines()) == 1


def test_the_shipped_file_says_that_a_pin_may_be_a_number():
    text = SHIPPED.read_text(encoding="utf-8")
    assert 'From 0 to 27, or "none". Default: 22.\nbutton_pin' in text
    assert 'From 0 to 27, or "none". Default: "none".\nbuzzer_pin' in text


def test_a_file_saved_with_a_byte_order_mark_is_read(tmp_path: Path):
    path = tmp_path / "facelatch.toml"
    path.write_bytes(b"\xef\xbb\xbf[door]\nunlock_seconds = 3.0\n")
    assert load(path).door.unlock_seconds == 3.0


def test_a_missing_file_is_named_with_what_to_do(tmp_path: Path):
    with pytest.raises(ConfigError, match="No such file") as caught:
        load(tmp_path / "none.toml")
    assert "--config" in caught.value.hint


def test_a_file_that_is_not_text_is_not_toml(tmp_path: Path):
    path = tmp_path / "facelatch.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not TOML"):
        load(path)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(sorted(Config.model_fields)) | st.text(max_size=5),
        st.dictionaries(st.sampled_from([key for _, key in keys()]) | st.text(max_size=5), _values, max_size=4)
        | _values,
        max_size=4,
    )
)
def test_any_document_is_a_configuration_or_a_config_error(document: dict[str, Any]):
    with contextlib.suppress(ConfigError):
        assert isinstance(parse(document, origin="file"), Config)
