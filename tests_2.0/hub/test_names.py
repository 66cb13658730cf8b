"""From what people type to one model."""

from contextlib import suppress

import hub_cache as build
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxk.contract.errors import AmbiguousMatch, ModelNotFound, RevisionNotFound
from mlxk.hub import names
from mlxk.hub.names import best_matches, resolve

QWEN = "mlx-community/Qwen3-0.6B-4bit"
LARGE = "mlx-community/Qwen3-8B-4bit"


@pytest.fixture
def two(hub_cache):
    hub_cache.add(QWEN)
    hub_cache.add(LARGE)
    return hub_cache


@pytest.mark.parametrize(
    "text",
    [QWEN, "Qwen3-0.6B-4bit", QWEN.lower(), "qwen3-0.6b-4BIT", "0.6B", f"{QWEN}@main"],
    ids=["full", "short", "full without case", "short without case", "a part", "with a branch"],
)
def test_a_name_finds_its_model(two, text):
    found = resolve(text)
    assert (found.name, found.hash, found.source) == (QWEN, build.MAIN, "cache")
    assert found.folder == two.folder(QWEN) / "snapshots" / build.MAIN


def test_an_ambiguous_part_lists_all_matches_sorted(two):
    with pytest.raises(AmbiguousMatch) as caught:
        resolve("qwen3")
    assert caught.value.details["matches"] == [QWEN, LARGE]
    assert QWEN in caught.value.hint


def test_an_exact_name_beats_a_longer_one(hub_cache):
    hub_cache.add("org/model")
    hub_cache.add("org/model-large")
    assert resolve("org/model").name == "org/model"
    assert resolve("model").name == "org/model"


def test_the_case_that_fits_beats_the_other(hub_cache):
    hub_cache.add("org/Model")
    hub_cache.add("org/model")
    assert resolve("org/model").name == "org/model"
    with pytest.raises(AmbiguousMatch):
        resolve("ORG/MODEL")


@pytest.mark.parametrize(
    "text",
    ["nothing", "org/nothing", "", "a/b/c", "../x", "/no/where", "@main", "x@", "org/m@../main"],
)
def test_an_unknown_name_says_what_to_type(two, text):
    with pytest.raises(ModelNotFound) as caught:
        resolve(text)
    assert caught.value.hint


@pytest.fixture
def revisions(hub_cache):
    hub_cache.add("org/m", commit=build.MAIN)
    hub_cache.add("org/m", commit=build.OTHER, ref="v1.0")
    hub_cache.ref("org/m", "refs/pr/7", build.OTHER)
    return hub_cache


@pytest.mark.parametrize(
    ("revision", "commit"),
    [
        ("", build.MAIN),
        ("@main", build.MAIN),
        ("@v1.0", build.OTHER),
        ("@refs/pr/7", build.OTHER),
        ("@bbbb", build.OTHER),
        (f"@{build.OTHER}", build.OTHER),
    ],
    ids=["default", "branch", "tag", "pull request", "beginning of a hash", "hash"],
)
def test_a_revision_is_a_branch_a_tag_or_the_beginning_of_a_hash(revisions, revision, commit):
    assert resolve(f"org/m{revision}").hash == commit


@pytest.mark.parametrize("revision", ["v2", "cccc", "b", "BBBB"])
def test_an_unknown_revision_names_those_that_are_there(revisions, revision):
    with pytest.raises(RevisionNotFound) as caught:
        resolve(f"org/m@{revision}")
    assert build.OTHER in caught.value.details["available"]
    assert "mlxk pull" in caught.value.hint


def test_a_beginning_of_two_hashes_is_ambiguous(hub_cache):
    for commit in ("c" * 40, "cccc" + "d" * 36):
        hub_cache.add("org/m", commit=commit, ref=None)
    with pytest.raises(AmbiguousMatch) as caught:
        resolve("org/m@cccc")
    assert len(caught.value.details["matches"]) == 2


def test_refs_main_decides_not_the_age_of_files(hub_cache):
    hub_cache.add("org/m", commit=build.MAIN)
    hub_cache.add("org/m", {"README.md": b"newer"}, commit=build.OTHER, ref="refs/pr/1")
    assert resolve("org/m").hash == build.MAIN


def test_without_refs_main_the_only_snapshot_is_meant(hub_cache):
    hub_cache.add("org/m", commit=build.OTHER, ref=None)
    assert resolve("org/m").hash == build.OTHER


def test_a_broken_entry_says_how_to_repair_it(hub_cache):
    hub_cache.folder("org/m").mkdir()
    with pytest.raises(ModelNotFound) as caught:
        resolve("org/m")
    assert caught.value.hint == "mlxk pull org/m"


@pytest.mark.parametrize("content", ["../../..", "main", "", "g" * 40])
def test_a_ref_that_is_no_hash_leads_nowhere(hub_cache, content):
    hub_cache.add("org/m")
    hub_cache.ref("org/m", "main", content)
    with pytest.raises(ModelNotFound, match="refs/main"):
        resolve("org/m")


def test_a_folder_is_a_model_by_its_path(tmp_path, monkeypatch):
    for name, data in build.model().items():
        build.replace(tmp_path / name, data)
    monkeypatch.chdir(tmp_path.parent)
    for text in (str(tmp_path), f"./{tmp_path.name}", tmp_path.name):
        assert resolve(text).folder == tmp_path
    assert resolve(str(tmp_path)).source == "workspace"


def test_a_workspace_is_found_by_its_name(hub_cache, home, monkeypatch):
    folder = home / "workspaces" / "my-model"
    folder.mkdir(parents=True)
    build.replace(folder / "config.json", b"{}")
    monkeypatch.setenv("MLXK_WORKSPACE_HOME", str(folder.parent))
    assert resolve("my-model").folder == folder
    with pytest.raises(RevisionNotFound):
        resolve("my-model@main")


def test_the_cache_comes_before_a_workspace_of_the_same_name(hub_cache, home, monkeypatch):
    hub_cache.add("gpt2")
    folder = home / "workspaces" / "gpt2"
    folder.mkdir(parents=True)
    build.replace(folder / "config.json", b"{}")
    monkeypatch.setenv("MLXK_WORKSPACE_HOME", str(folder.parent))
    assert resolve("gpt2").source == "cache"


def test_the_built_in_model_has_a_name_of_its_own(home):
    assert resolve("builtin:tiny").source == "builtin"
    with pytest.raises(ModelNotFound, match="builtin:huge"):
        resolve("builtin:huge")


@pytest.mark.parametrize(
    "text", ["~nobody-like-this/x", "x" * 5000, "/" + "x" * 5000, "/\0", "\0", "a\0/b", "./\udcff"]
)
def test_odd_text_is_an_unknown_model(home, text):
    with pytest.raises(ModelNotFound):
        resolve(text)


@given(st.text(max_size=40))
def test_any_text_is_a_model_or_a_clear_error(text):
    with suppress(ModelNotFound):
        spec = names.parse(text)
        assert text == (f"{spec.name}@{spec.revision}" if spec.revision else spec.name)


@given(st.text("ab/-", min_size=1, max_size=6), st.lists(st.text("abAB/-", min_size=1), max_size=8))
def test_matches_are_sorted_and_an_exact_name_is_alone(name, known):
    found = best_matches(name, tuple(known))
    assert list(found) == sorted(set(found) & set(known))
    assert name not in known or found == (name,)
