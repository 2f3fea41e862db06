"""The reader and writer of YAML: what it takes, what it refuses, and that nothing else escapes."""

import copy
import json
import os
import stat
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labctl.documents import reader
from labctl.documents.misfit import PATTERNS
from labctl.documents.reader import dump, dumps, load, parse, read_yaml, validate
from labctl.documents.schema import json_schema
from labctl.errors import EngineError, InputError
from labctl.model.service import ServiceDoc
from labctl.model.topology import TopologyDoc

DATA = Path(__file__).parents[1] / "data"
GOOD = [
    (TopologyDoc, (DATA / "topology.yml").read_text()),
    (ServiceDoc, (DATA / "catalogue/compose/mariadb/service.yml").read_text()),
    (ServiceDoc, (DATA / "catalogue/compose/keystone/service.yml").read_text()),
]


@pytest.fixture(params=["c", "python"])
def parser(request, monkeypatch):
    """Both of PyYAML's parsers: where wheels lack the one in C, the other must do."""
    if request.param == "python":
        monkeypatch.setattr(reader, "_Loader", yaml.SafeLoader)


@pytest.mark.usefixtures("parser")
class TestParse:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("3", 3),
            ("0x1f", 31),
            ("0640", 0o640),
            ("1_000", 1000),
            ("-2.5", -2.5),
            ("yes", True),
            ("off", False),
            ("~", None),
            ("'3'", "3"),
            ("! 3", "3"),
            ("12:30", "12:30"),
            ("1:30.5", "1:30.5"),
            ("2022-10-05", "2022-10-05"),
            ("1.2.3", "1.2.3"),
            ("=", "="),
            ('"a\\r\\n"', "a\r\n"),
        ],
    )
    def test_scalars(self, text, value):
        assert parse(f"a: {text}", "x.yml")[0] == {"a": value}

    def test_keys_are_text_as_written(self):
        assert parse("on: 1\n1: 2\n012: 3\n'': 4", "x.yml")[0] == {"on": 1, "1": 2, "012": 3, "": 4}

    def test_aliases_stand_for_their_anchor(self):
        assert parse("a: &x {b: 1}\nc: [*x, *x]", "x.yml")[0]["c"] == [{"b": 1}, {"b": 1}]

    def test_lines_of_places(self):
        source = parse("a:\n  b:\n    - 1\n    - {c: 2}\nd: 3\n", "x.yml")[1]
        assert source.line(("a", "b", 1, "c")) == 4
        assert source.line(("a", "b", 7)) == 2
        assert source.line(("d",)) == 5
        assert str(source.error(("a", "b", 1), "no")) == "x.yml:4: a.b[1]: no"

    def test_byte_order_mark_is_no_text(self, tmp_path):
        path = tmp_path / "x.yml"
        path.write_bytes(b"\xef\xbb\xbfa: 1\n")
        assert read_yaml(path) == {"a": 1}

    @pytest.mark.parametrize(
        "text",
        [
            "[" * 100_000,
            "{a: " * 5_000,
            "- " * 50_000,
            "a: &a [*a]",
            "a: 1" + "0" * 100_000,
            "\n".join(f"k{i}: &k{i} [{f'*k{i - 1}, ' * 9 if i else ''}]" for i in range(500)),
        ],
    )
    def test_what_is_built_to_hurt_is_refused_quickly(self, text):
        start = time.process_time()
        with pytest.raises(InputError):
            parse(text, "x.yml")
        assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda _: None, "x.yml: no such file"),
        (lambda path: path.mkdir(), "x.yml: is a directory, should be a YAML file"),
        (
            lambda path: path.write_bytes(b"# " + b"x" * (1 << 20)),
            "x.yml: is larger than 1 MiB, too large for a document",
        ),
        (
            lambda path: path.symlink_to(path),
            "x.yml: cannot be read: Too many levels of symbolic links",
        ),
        (lambda path: path.write_text("# nothing\n"), "x.yml: is empty"),
    ],
)
def test_files_that_are_no_document(tmp_path, monkeypatch, make, message):
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "x.yml")
    with pytest.raises(InputError) as caught:
        read_yaml(tmp_path / "x.yml")
    assert str(caught.value) == message


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    # Root may read anything, so the refusal is made here.
    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError) as caught:
        read_yaml(Path("x.yml"))
    assert str(caught.value) == "x.yml: you have no permission to read it; see `ls -l`"


def test_path_with_a_nul_or_a_line_break():
    for name in ("a\0b.yml", "no\nsuch.yml"):
        with pytest.raises(InputError) as caught:
            read_yaml(Path(name))
        assert len(str(caught.value).splitlines()) == 1


class TestDump:
    @pytest.mark.parametrize("mode", [0o600, 0o644])
    def test_mode_and_content(self, tmp_path, mode):
        path = tmp_path / "new" / "x.yml"
        dump(path, {"b": "0640", "a": ["yes", 1]}, mode=mode)
        assert stat.S_IMODE(path.stat().st_mode) == mode
        assert path.read_text() == "b: '0640'\na:\n- 'yes'\n- 1\n"

    def test_a_failed_write_leaves_the_old_file_and_nothing_else(self, tmp_path, monkeypatch):
        path = tmp_path / "x.yml"
        dump(path, {"a": 1})

        def full(_handle):
            raise OSError(28, "No space left on device")

        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(EngineError) as caught:
            dump(path, {"a": 2})
        assert str(caught.value) == "x.yml: cannot be written: No space left on device"
        assert read_yaml(path) == {"a": 1}
        assert os.listdir(tmp_path) == ["x.yml"]  # noqa: PTH208


def test_every_pattern_of_the_models_has_words():
    def patterns(schema):
        if isinstance(schema, dict):
            yield from ([schema["pattern"]] if "pattern" in schema else [])
            yield from schema.get("patternProperties", {})
            schema = list(schema.values())
        if isinstance(schema, list):
            for item in schema:
                yield from patterns(item)

    found = {
        *patterns(json_schema("topology", TopologyDoc)),
        *patterns(json_schema("service", ServiceDoc)),
    }
    assert found <= set(PATTERNS)


# fuzz: whatever the file holds, there is a model or one line

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
fuzz = settings(
    max_examples=120,
    deadline=2000,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def fits_or_one_line(path, model):
    try:
        return isinstance(load(path, model), model)
    except InputError as error:
        text = str(error)
        assert text.startswith(str(path))
        assert len(text.splitlines()) == 1
        assert text.isprintable()
        assert len(text) < 700
        return False


@fuzz
@given(
    raw=st.binary(max_size=60)
    | st.text(max_size=60).map(str.encode)
    | st.text("ab:- \n\t[]{}&*!|>'\"%@?,#~<0.", max_size=40).map(str.encode)
)
def test_any_bytes(tmp_path, raw):
    path = tmp_path / "x.yml"
    path.write_bytes(raw)
    fits_or_one_line(path, TopologyDoc)


@fuzz
@given(data=JSON)
def test_any_data_survives_writing_and_reading(data):
    read = parse(dumps(data), "x.yml")[0]
    assert json.dumps(read, sort_keys=True) == json.dumps(data, sort_keys=True)


@fuzz
@given(data=st.data())
def test_documents_with_something_changed(tmp_path, data):
    model, text = data.draw(st.sampled_from(GOOD))
    document = copy.deepcopy(parse(text, "x.yml")[0])
    for _ in range(data.draw(st.integers(1, 3))):
        mutate(document, data)
    path = tmp_path / "x.yml"
    path.write_text(dumps(document), encoding="utf-8")
    fits_or_one_line(path, model)


@fuzz
@given(data=st.data())
def test_text_with_something_changed(tmp_path, data):
    model, text = data.draw(st.sampled_from(GOOD))
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 6)))
    path = tmp_path / "x.yml"
    path.write_text(text[:start] + data.draw(st.text(max_size=4)) + text[end:], encoding="utf-8")
    fits_or_one_line(path, model)


def mutate(value, data):
    """Delete, rename or replace something at a random place of a document."""
    while isinstance(value, dict | list) and value:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key = data.draw(st.sampled_from(list(keys)))
        inner = value[key]
        if isinstance(inner, dict | list) and inner and data.draw(st.integers(0, 2)):
            value = inner
            continue
        what = data.draw(st.sampled_from(["delete", "rename", "replace"]))
        if what == "replace":
            value[key] = data.draw(JSON)
            return
        del value[key]
        if what == "rename" and isinstance(value, dict):
            value[data.draw(st.text(max_size=6) | st.just(f"{key}x"))] = inner
        return


def test_the_documents_that_are_changed_are_good():
    for model, text in GOOD:
        data, source = parse(text, "x.yml")
        assert isinstance(validate(data, model, source), model)
