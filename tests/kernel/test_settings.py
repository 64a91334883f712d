"""Settings: which source wins, what is refused and how it is said, whom a project file may send words to."""

from __future__ import annotations

from pathlib import Path

import pytest

from memos import SettingsError
from memos.settings import Configuration, find_paths, load, read_file, trust, write_setting


def user_file(home: Path, text: str) -> Path:
    home.mkdir(exist_ok=True)
    path = home / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(flags: dict[str, object] | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        load(flags)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_each_source_overrides_the_one_below_and_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def found() -> tuple[int, str]:
        configuration = load({"max_steps": flag})
        return configuration.settings.max_steps, configuration.origins["max_steps"]

    flag: int | None = None
    assert found() == (50, "default")
    user_file(home, "max_steps = 2\n")
    assert found() == (2, "user settings")
    Path("memos.toml").write_text("max_steps = 3\n", encoding="utf-8")
    assert found() == (3, "project file")
    monkeypatch.setenv("MEMOS_MAX_STEPS", "4")
    assert found() == (4, "environment")
    flag = 5
    assert found() == (5, "flag")


def test_sources_are_merged_key_by_key(home: Path) -> None:
    user_file(home, 'agent = "ada"\nmax_steps = 2\n')
    Path("memos.toml").write_text('agent = "bea"\n', encoding="utf-8")
    configuration = load({"model": "extractive"})
    assert (configuration.settings.agent, configuration.settings.max_steps) == ("bea", 2)
    wanted = {"agent": "project file", "max_steps": "user settings", "model": "flag", "loop": "default"}
    assert {key: configuration.origins[key] for key in wanted} == wanted


@pytest.mark.parametrize("text", ["model =\n", "= 3", "[model\n", 'model = "unclosed\n', "a = 1\na = 2\n"])
def test_malformed_toml_names_the_file(home: Path, text: str) -> None:
    path = user_file(home, text)
    assert str(path) in refusal()
    assert "malformed" in refusal()


def test_a_file_that_is_no_text_names_the_file(home: Path) -> None:
    path = user_file(home, "")
    path.write_bytes(b"\xff\xfe\x00 model")
    assert str(path) in refusal()


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("modle = 'extractive'", "modle"),
        ("max_steps = 0", "max_steps"),
        ("max_steps = 'many'", "max_steps"),
        ("loop = 'round'", "loop"),
        ("context_tokens = 100", "context_tokens"),
        ("evict_fraction = 1.0", "evict_fraction"),
        ("timeout_s = -1", "timeout_s"),
        ("model = 7", "model"),
        ("[model]\nname = 'x'", "model"),
    ],
)
def test_a_wrong_line_names_its_file_and_key(home: Path, line: str, key: str) -> None:
    path = user_file(home, line)
    assert str(path) in refusal()
    assert key in refusal()
    path.unlink()
    Path("memos.toml").write_text(line, encoding="utf-8")
    assert "memos.toml" in refusal()
    assert key in refusal()


def test_a_wrong_variable_or_flag_names_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "the options given: max_steps" in refusal({"max_steps": "soon"})
    monkeypatch.setenv("MEMOS_MAX_STEPS", "soon")
    assert "the environment: max_steps" in refusal()


def test_a_warning_after_the_flush_is_refused() -> None:
    assert "warn_fraction (0.8) is above flush_fraction (0.5)" in refusal({"warn_fraction": 0.8, "flush_fraction": 0.5})


@pytest.mark.parametrize(
    "model", ["openai:gpt@http://evil.example/v1", "openai:gpt@https://evil.example", "scripted:s.json", "gguf:m.gguf"]
)
def test_a_project_file_that_names_a_server_or_file_needs_trust(model: str) -> None:
    path = Path("memos.toml")
    path.write_text(f'model = "{model}"\n', encoding="utf-8")
    assert str(path.absolute()) in refusal()
    assert "memos config trust" in refusal()
    assert "memos config trust" in refusal({"model": "extractive"})

    trust(find_paths(), path)
    assert load().settings.model == model

    path.write_text(f'model = "{model}.other"\n', encoding="utf-8")
    assert "memos config trust" in refusal()
    path.write_text(f'model = "{model}"\n', encoding="utf-8")
    assert load().settings.model == model


def test_trust_is_for_one_file_in_one_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = 'model = "scripted:s.json"\n'
    Path("memos.toml").write_text(text, encoding="utf-8")
    trust(find_paths(), Path("memos.toml"))
    other = tmp_path / "other"
    other.mkdir()
    (other / "memos.toml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(other)
    assert str(other) in refusal()


def test_a_project_file_that_chooses_nobody_needs_no_trust() -> None:
    Path("memos.toml").write_text('model = "extractive"\nagent = "ada"\n', encoding="utf-8")
    assert load().settings.agent == "ada"


@pytest.mark.parametrize("line", ['model = "openai:gpt-5"', 'persona = "pirate"', 'human = "boss"'])
def test_a_project_file_chooses_neither_model_nor_persona_untrusted(line: str) -> None:
    Path("memos.toml").write_text(line, encoding="utf-8")
    with pytest.raises(SettingsError, match="not trusted"):
        load()


@pytest.mark.parametrize(
    ("line", "problem"),
    [('model = "magic"', "Unknown model 'magic'"), ('timezone = "Nowhere/X"', "no IANA time zone")],
)
def test_what_cannot_be_is_refused_where_it_is_set(line: str, problem: str) -> None:
    name, _, value = line.partition(" = ")
    with pytest.raises(SettingsError, match=problem):
        write_setting(find_paths().config, name, value.strip('"'))
    assert not find_paths().config.exists()


def test_writing_one_setting_keeps_the_others(home: Path) -> None:
    path = find_paths().config
    write_setting(path, "agent", "ada")
    write_setting(path, "max_steps", "7")
    write_setting(path, "timeout_s", "2.5")
    write_setting(path, "model", 'scripted:/tmp/say "hello" \\ größe.json')
    write_setting(path, "max_steps", "8")
    settings = load().settings
    assert (settings.agent, settings.max_steps, settings.timeout_s) == ("ada", 8, 2.5)
    assert settings.model == 'scripted:/tmp/say "hello" \\ größe.json'
    write_setting(path, "max_steps", "")
    assert "max_steps" not in read_file(path)
    assert load().settings.agent == "ada"
    write_setting(path, "max_steps", "")


@pytest.mark.parametrize(("name", "value"), [("max_steps", "none"), ("loop", "round"), ("modle", "x")])
def test_a_wrong_value_is_not_written(home: Path, name: str, value: str) -> None:
    path = find_paths().config
    write_setting(path, "agent", "ada")
    before = path.read_bytes()
    with pytest.raises(SettingsError, match=name):
        write_setting(path, name, value)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "value"), [("model", "scripted:/tmp/\N{SNAIL}\N{GRINNING FACE}.json"), ("timeout_s", "inf")]
)
def test_what_was_written_can_be_read_again(name: str, value: str) -> None:
    """A value that TOML cannot hold is refused before it is written; any other comes back."""
    path = find_paths().config
    try:
        write_setting(path, name, value)
    except SettingsError:
        assert not path.exists()
        return
    assert str(getattr(load().settings, name)) == value


def test_the_home_moves_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    monkeypatch.setenv("MEMOS_HOME", str(elsewhere))
    paths = find_paths()
    places = [paths.home, paths.config, paths.cache, paths.database, paths.index, paths.locks, paths.trusted]
    assert all(place.is_relative_to(elsewhere) for place in places)
    assert find_paths(tmp_path / "third").database == tmp_path / "third" / "memos.db"
    monkeypatch.delenv("MEMOS_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert not find_paths().home.is_relative_to(elsewhere)


def test_a_relative_or_tilde_home_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_paths("here").home == Path.cwd() / "here"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_paths("~/there").home == tmp_path / "there"


def test_flags_that_are_none_count_as_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMOS_AGENT", "ada")
    configuration: Configuration = load({"agent": None, "model": None})
    assert (configuration.settings.agent, configuration.origins["agent"]) == ("ada", "environment")
    assert configuration.origins["model"] == "default"
