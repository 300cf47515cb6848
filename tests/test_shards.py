"""Shards: the results of some photos in one file, by a name that says all they depend on."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from models.bundle import Bundle
from models.classifier import Classifier
from models.errors import ClusterError, SettingError
from models.images import Framing, Limits
from tests.making import believe_colours, colour_bundle, colour_graph, picture
from tests.test_rooms import loaded_by
from training.evaluation.ask import Asker
from training.features.cache import FeatureCache
from training.features.compute import _Reader
from training.fine_tuning.views import PhotoViews, ViewRecipe, _Viewer
from training.photos.listing import Photo
from training.predict import _Predictor
from training.scale.choose import choose_workers
from training.scale.cluster import Cluster, _cut
from training.scale.connection import connected
from training.scale.portable import PortableClassifier, PortableGraph
from training.settings.config import FitConfig


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "red.png"
    path.write_bytes(picture((200, 40, 40), 3))
    return Photo(path, "red")


@pytest.fixture
def asked(tmp_path):
    """A classifier with prediction sets and familiarity, and the same after a journey."""
    believed = believe_colours(colour_bundle(tmp_path / "plain"), tmp_path / "colours")
    here = PortableClassifier(Bundle(believed))
    return here, pickle.loads(pickle.dumps(here))


def works(photo, asked):
    """Each kind of work, with something to do it for."""
    graph, limits = PortableGraph(colour_graph()), Limits()
    reader = _Reader(graph, Framing(16), limits, set(), None, "features", "cache")
    return [
        (reader, photo),
        (Asker(asked[0], limits), photo),
        (_Predictor(asked[0], limits, 2), photo.path),
    ]


@pytest.mark.parametrize("kind", range(3))
@pytest.mark.parametrize("content", ["whole", "damaged", "gone"])
def test_a_result_comes_back_from_its_row_as_it_was(kind, content, photo, asked):
    pytest.importorskip("pyarrow")
    from training.scale.shards import read_rows, write_rows

    if content == "damaged":
        photo.path.write_bytes(b"no photo")
    if content == "gone":
        photo.path.unlink()
    work, item = works(photo, asked)[kind]
    result = work(item)
    assert work.unread(result) == (content == "gone")
    (row,) = read_rows(write_rows([work.row(result)]), 1) or [{}]
    back = work.result(item, row, fresh=True)
    if kind == 0 and content != "whole":
        result = result._replace(stamp=back.stamp)
    for one, other in zip(result, back, strict=True):
        if isinstance(one, np.ndarray):
            assert one.tobytes() == other.tobytes()
        elif kind == 1 and one is not None and not isinstance(one, bytes) and content == "whole":
            assert one.probabilities.tobytes() == other.probabilities.tobytes()
            assert one.familiarity == other.familiarity
        else:
            assert one == other


def test_the_maps_of_views_come_back_as_the_store_keeps_them(photo):
    pytest.importorskip("pyarrow")
    from training.scale.shards import read_rows, write_rows

    graph = CutGraph()
    recipe = ViewRecipe(Framing(8), Limits(), 0.5, mirror=True, seed=0)
    viewer = _Viewer(recipe, graph, "views", (8, 8, 3), 2)
    wanted = PhotoViews(photo, b"d" * 32, [0, 2])
    result = viewer(wanted)
    (row,) = read_rows(write_rows([viewer.row(result)]), 1) or [{}]
    back = viewer.result(wanted, row, fresh=False)
    assert [key for key, _ in back.entries] == [(b"d" * 32, 0), (b"d" * 32, 2)]
    for (_, one), (_, other) in zip(result.entries, back.entries, strict=True):
        assert one.astype(np.float16).tobytes() == other.tobytes()
    photo.path.unlink()
    gone = viewer(wanted)
    (row,) = read_rows(write_rows([viewer.row(gone)]), 1) or [{}]
    assert viewer.result(wanted, row, fresh=False) == gone == ([], True)


class CutGraph(PortableGraph):
    """Answers the photo itself as its map at the cut."""

    def __init__(self) -> None:
        super().__init__(colour_graph())

    def run(self, photos, outputs):
        assert outputs == ["cut"]
        return [photos.transpose(0, 3, 1, 2).astype(np.float32)]


def test_a_sent_classifier_answers_the_same_without_its_folder(asked, photo, tmp_path):
    here, there = asked
    for path in (tmp_path / "colours").rglob("*"):
        path.unlink()
    pixels = here.decode(photo.path.read_bytes())
    one, other = here.read(pixels), there.read(pixels)
    assert one.probabilities.tobytes() == other.probabilities.tobytes()
    assert one.familiarity == other.familiarity is not None
    assert here.describe(one, 3) == there.describe(other, 3)
    assert isinstance(there, Classifier)


def test_a_sent_classifier_with_insight_opens(insight_bundle):
    sent = pickle.loads(pickle.dumps(PortableClassifier(Bundle(insight_bundle))))
    assert sent.name == "colours"


def test_a_photo_that_needs_no_work_moves_no_other_into_another_shard():
    names = dict(enumerate("abcdefghij"))
    assert list(_cut(names, 4)) == [list("abcd"), list("efgh"), list("ij")]
    del names[1], names[4], names[5], names[6], names[7]
    assert list(_cut(names, 4)) == [list("acd"), list("ij")]


def test_a_shard_has_another_name_once_a_photo_changed_or_moved(photo, asked, tmp_path):
    from training.scale.shards import Shards

    shards = Shards(tmp_path / "shards", "work")
    for work, item in works(photo, asked):
        before = shards.name([work.key(item)])
        assert shards.name([work.key(item)]) == before
        content = photo.path.read_bytes()
        photo.path.write_bytes(content + b"x")
        changed = shards.name([work.key(item)])
        photo.path.unlink()
        assert len({before, changed, shards.name([work.key(item)])}) == 3
        photo.path.write_bytes(content)
    assert Shards(tmp_path, "one").folder != Shards(tmp_path, "other").folder


def test_a_damaged_shard_or_one_of_other_photos_is_not_read():
    pytest.importorskip("pyarrow")
    from training.scale.shards import read_rows, write_rows

    content = write_rows([{"digest": b"1"}, {"digest": b"2"}])
    assert read_rows(content, 2) == [{"digest": b"1"}, {"digest": b"2"}]
    assert read_rows(content, 3) is None
    assert read_rows(content[:-9], 2) is None
    assert read_rows(b"", 2) is None


def test_old_shards_go_and_the_folder_with_the_last_one(tmp_path):
    import os
    import time

    from training.scale.shards import OLD_S, Shards

    old, new = Shards(tmp_path, "old"), Shards(tmp_path, "new")
    with old.opened():
        old.write("a.parquet", b"a")
        old.write("b.parquet", b"b")
    assert old.read("a.parquet") == b"a"
    past = time.time() - OLD_S - 60
    os.utime(old.folder / "a.parquet", (past, past))
    with new.opened():
        assert old.read("a.parquet") is None
        assert old.read("b.parquet") == b"b"
    assert not new.folder.exists()
    assert [path.name for path in old.folder.iterdir()] == ["b.parquet"]  # nor a mark


def test_the_summary_of_known_features_is_not_sent(photo, tmp_path):
    known = {b"digest"}
    graph = PortableGraph(colour_graph())
    reader = _Reader(graph, Framing(16), Limits(), known, None, "features", "cache")
    sent = pickle.loads(pickle.dumps(reader.portable()))
    assert sent.known == set()
    assert sent(photo).vector.tobytes() == reader(photo).vector.tobytes()
    assert sent.identity == reader.identity


def test_one_machine_loads_neither_ray_nor_pyarrow():
    loaded = loaded_by("training.__main__", "training.fit", "training.predict")
    assert "onnxruntime" in loaded
    assert not {"ray", "pyarrow"} & loaded


def test_the_engine_is_what_was_asked_for(tmp_path):
    assert choose_workers(FitConfig(threads=3)) == 3
    chosen = choose_workers(FitConfig(engine="ray", address="head:6379", cache=tmp_path))
    assert chosen == Cluster("head:6379", tmp_path / "shards")
    with pytest.raises(SettingError, match="--address contradicts --engine threads"):
        FitConfig(address="head:6379")
    assert not {"engine", "address"} & set(FitConfig(engine="ray").as_json())


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1:none", "127.0.0.1:99999"])
def test_an_address_without_a_cluster_is_refused_at_once(address):
    pytest.importorskip("ray")
    with (
        pytest.raises(ClusterError, match=f"no Ray cluster at --address {address}: "),
        connected(address),
    ):
        pass


def test_without_ray_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)  # as if it were not there
    with (
        pytest.raises(SettingError, match=r"pip install -r requirements-scale\.txt"),
        connected("auto"),
    ):
        pass


def test_nothing_to_do_needs_no_cluster(tmp_path, photo):
    from training.features.compute import compute_features

    cache = FeatureCache(Path(tmp_path), "colours", "by hand", Framing(16))
    graph = PortableGraph(colour_graph())
    first = compute_features([photo], graph, cache, 1)
    again = compute_features([photo], graph, cache, Cluster("127.0.0.1:1", tmp_path))
    cache.close()
    assert again.vectors.tobytes() == first.vectors.tobytes()
    assert again.computed == 0
