"""Finding, fetching and refusing data files, with a real server on 127.0.0.1."""

import gzip
import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch

from contracts.dataset import DatasetContract
from data.test_idx import idx_bytes
from paretune.data import digits
from paretune.data.images import Splitting
from paretune.data.mnist import load_idx
from paretune.errors import DataError

NAMES = ("train-images.gz", "train-labels.gz", "test-images.gz", "test-labels.gz")
SPLITTING = Splitting(val_size=4)


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves a folder without a line on stderr for each request."""

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twenty training and six test images of 5x5, as a mirror has them."""
    served = tmp_path / "served"
    served.mkdir()
    rng = np.random.default_rng(0)
    for name, count in zip(NAMES, (20, 20, 6, 6), strict=True):
        shape = (count, 5, 5) if "images" in name else (count,)
        array = rng.integers(0, 255 if "images" in name else 10, shape).astype(np.uint8)
        (served / name).write_bytes(gzip.compress(idx_bytes(array)))
    return served


@pytest.fixture
def mirror(folder: Path) -> Iterator[str]:
    """The address of a server of those files."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def hashes(folder: Path) -> dict[str, str]:
    return {name: f"sha256:{hashlib.sha256((folder / name).read_bytes()).hexdigest()}" for name in NAMES}


def load(root: Path, folder: Path, *mirrors: str):
    return load_idx(name="tiny", root=str(root), files=hashes(folder), mirrors=mirrors, splitting=SPLITTING)


class TestIdx(DatasetContract):
    @pytest.fixture
    def make(self, tmp_path, folder):
        return lambda splitting: load_idx(
            name="served", root=str(tmp_path), files=hashes(folder), mirrors=[], splitting=splitting
        )


class TestDigits(DatasetContract):
    @pytest.fixture
    def make(self):
        return lambda splitting: digits.load(splitting=splitting)


def test_missing_files_are_fetched_and_then_found(tmp_path, folder, mirror):
    fetched = load(tmp_path, folder, mirror)
    fetched.load_test()
    reloaded = load(tmp_path, folder)  # no mirror: only the files on disk can serve

    assert fetched.train.pixels.shape == (16, 1, 5, 5)
    assert torch.equal(reloaded.load_test().pixels, fetched.load_test().pixels)


def test_the_second_mirror_serves_where_the_first_does_not(tmp_path, folder, mirror):
    data = load(tmp_path, folder, "http://127.0.0.1:9", mirror)

    assert len(data.load_test()) == 6


def test_a_wrong_download_never_gets_its_name(tmp_path, folder, mirror):
    expected = hashes(folder)
    (folder / NAMES[0]).write_bytes(b"something else")

    with pytest.raises(DataError, match=r"no mirror gave it \(http://127.0.0.1:\d+: .*hash"):
        load_idx(name="tiny", root=str(tmp_path), files=expected, mirrors=[mirror], splitting=SPLITTING)
    assert not (tmp_path / "tiny" / NAMES[0]).exists()


def test_without_files_and_network_the_error_names_folder_file_and_digits(tmp_path, folder):
    message = r"data file `.*tiny/train-images.gz` is missing .* expected it in the folder `.*tiny`; .* PARETUNE_DATA .* data=digits"
    with pytest.raises(DataError, match=message):
        load(tmp_path, folder, "http://127.0.0.1:9")


def test_a_damaged_file_on_disk_is_refused_with_both_hashes_and_kept(tmp_path, folder):
    mine = tmp_path / "tiny"
    mine.mkdir()
    (mine / NAMES[0]).write_bytes(b"mine")

    with pytest.raises(
        DataError, match=r"train-images.gz` is damaged or another file; expected sha256 \w{64}, got \w{64}"
    ):
        load(tmp_path, folder)
    assert (mine / NAMES[0]).read_bytes() == b"mine"


def test_unpacked_files_serve_too(tmp_path, folder):
    mine = tmp_path / "tiny"
    mine.mkdir()
    for name in NAMES:
        (mine / name.removesuffix(".gz")).write_bytes(gzip.decompress((folder / name).read_bytes()))

    assert len(load(tmp_path, folder).load_test()) == 6


def test_images_and_labels_that_do_not_match_are_refused(tmp_path, folder):
    (folder / NAMES[1]).write_bytes((folder / NAMES[3]).read_bytes())

    with pytest.raises(DataError, match=r"do not belong together; expected images \(N, H, W\) and labels \(N,\), got"):
        load_idx(name="served", root=str(tmp_path), files=hashes(folder), mirrors=[], splitting=SPLITTING)


def served(tmp_path: Path, folder: Path):
    return load_idx(name="served", root=str(tmp_path), files=hashes(folder), mirrors=[], splitting=SPLITTING)


@pytest.mark.parametrize(("part", "count"), [("train", 20), ("test", 6)])
def test_labels_beyond_the_classes_are_refused(tmp_path, folder, part, count):
    (folder / f"{part}-labels.gz").write_bytes(gzip.compress(idx_bytes(np.full(count, 10, np.uint8))))

    with pytest.raises(DataError, match=r"has the label 10; expected 0 to 9; check that it is the right file, or set"):
        served(tmp_path, folder).load_test()


def test_a_worker_reads_and_measures_the_images_once(tmp_path, folder):
    assert served(tmp_path, folder) is served(tmp_path, folder)


def test_the_test_images_are_not_read_before_somebody_asks(tmp_path, folder):
    files = hashes(folder)
    (folder / NAMES[2]).unlink()
    data = load_idx(name="served", root=str(tmp_path), files=files, mirrors=[], splitting=SPLITTING)

    assert len(data.train) == 16
    with pytest.raises(DataError, match="is missing"):
        data.load_test()


def test_digits_need_no_file_and_keep_their_test_images_apart():
    data = digits.load(splitting=Splitting(val_size=360, how="stratified"))

    assert (len(data.train), len(data.val), len(data.load_test())) == (1077, 360, 360)
    assert data.train.pixels.shape[1:] == (1, 28, 28)
    assert data.train.pixels.dtype == torch.uint8
