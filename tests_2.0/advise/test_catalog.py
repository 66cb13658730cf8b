"""The shipped entries obey their schema; a bad file is named and hides no other."""

import re

import pytest

from mlxk.advise.catalog import Wanted, load
from mlxk.contract.errors import NotFound

QUALITIES = ("overall", "coding", "reasoning", "instruction_following")
GOOD = (
    load().find("qwen3-4b-instruct-2507").id,
    "qwen3-30b-a3b-instruct-2507",
)


@pytest.fixture
def folder(tmp_path):
    from importlib import resources

    for name in GOOD:
        text = (resources.files("mlxk.advise") / "models" / f"{name}.yaml").read_bytes()
        (tmp_path / f"{name}.yaml").write_bytes(text)
    return tmp_path


def change(folder, old, new):
    path = folder / f"{GOOD[0]}.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return load(folder)


def test_the_shipped_catalog_is_valid_and_large_enough():
    catalog = load()
    assert catalog.problems == ()
    assert len(catalog.entries) >= 15


@pytest.mark.parametrize("entry", load().entries, ids=lambda e: e.id)
def test_every_entry_is_a_community_repository_and_says_where_figures_come_from(entry):
    for source in entry.sources.values():
        assert source.hf_repo.startswith("mlx-community/")
    assert all(bench.source for bench in entry.benchmarks.values())
    figures = (getattr(entry.quality, name) for name in QUALITIES)
    assert entry.quality.source or not any(figure is not None for figure in figures)
    named = re.search(r"(?<![\d.])(\d+(?:\.\d+)?)b(?![a-z])", entry.id)
    assert named is None or abs(entry.params_b / float(named.group(1)) - 1) <= 0.25
    assert re.search(r"(?i)" + re.escape(entry.family[:4]), entry.name + entry.id)


@pytest.mark.parametrize(
    ("old", "new", "pointer"),
    [
        ("tool_calling: true", "tool_calling: 1", "/capabilities/tool_calling"),
        ("overall: 60.72", "overall: 160", "/quality/overall"),
        ("gen_tps: 134.52", "gen_tps: fast", "/benchmarks/m4-max-128/gen_tps"),
        ("  int4:", "  int5:", "/sources"),
        ("tags: [", "tags: [chat, ", "/tags"),
        ("params_b: 4.02", "params_b: 0", "/params_b"),
        ("name: Qwen3", "colour: red\nname: Qwen3", ""),
    ],
    ids=lambda v: str(v)[:24],
)
def test_a_bad_file_is_named_with_its_pointer(folder, old, new, pointer):
    catalog = change(folder, old, new)
    assert [entry.id for entry in catalog.entries] == [GOOD[1]]
    assert [(p.file, p.pointer) for p in catalog.problems] == [(f"{GOOD[0]}.yaml", pointer)]


@pytest.mark.parametrize("text", ["{", "- a\n- b", "", "a: !!python/name:os.system x"], ids=str)
def test_what_is_no_entry_is_a_problem(folder, text):
    (folder / "other.yaml").write_text(text)
    catalog = load(folder)
    assert len(catalog.entries) == 2
    assert {p.file for p in catalog.problems} == {"other.yaml"}


def test_an_id_is_unique(folder):
    (folder / "twin.yaml").write_bytes((folder / f"{GOOD[0]}.yaml").read_bytes())
    assert [p.pointer for p in load(folder).problems] == ["/id"]


def test_entries_are_found_by_id_or_repository():
    entry = load().find("mlx-community/phi-4-4bit")
    assert entry.id == "phi-4"
    with pytest.raises(NotFound) as caught:
        load().find("phi4")
    assert caught.value.hint == "mlxk catalog show phi-4"


@pytest.mark.parametrize(
    ("wanted", "some", "none"),
    [
        (Wanted(family="QWEN3"), "qwen3-8b", "phi-4"),
        (Wanted(tag="vision"), "gemma-3-4b-it", "phi-4"),
        (Wanted(tool_calling=True), "qwen3-8b", "phi-4"),
    ],
    ids=str,
)
def test_filters(wanted, some, none):
    catalog = load()
    assert wanted.matches(catalog.find(some))
    assert not wanted.matches(catalog.find(none))
