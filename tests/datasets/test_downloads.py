"""Downloads from a server on this machine."""

import contextlib
import gzip
import http.server
import io
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pooch
import pytest

from cifar_folders import binary_batches
from clusterability.datasets import DATASETS, available, fetch, load_dataset, places
from clusterability.datasets.cifar import CifarSet
from clusterability.errors import InputError
from data_folders import FILES, alone, expect, idx_bytes, small_images, write_idx


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        content, claimed = self.server.files.get(self.path, (None, 0))
        self.server.asked.append(self.path)
        usual = 404 if content is None else 200, {}
        status, headers = self.server.answers.get(self.path, usual)
        self.send_response(status)
        for name, value in {"Content-Length": str(claimed), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # who asked may have left
            self.wfile.write(content or b"")

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.files, server.answers, server.asked = {}, {}, []
        server.url = f"http://127.0.0.1:{server.server_address[1]}/"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def mnist(server, monkeypatch, tmp_path):
    """Small files in the place of MNIST's; returns the cache and the arrays."""
    cache = alone(monkeypatch, tmp_path)
    arrays = small_images()
    expect(monkeypatch, arrays, url=server.url)
    for name, array in arrays.items():
        serve(server, f"{name}.gz", gzip.compress(idx_bytes(array)))
    return cache, arrays


def serve(server, name, content, claimed=None):
    server.files[f"/{name}"] = (content, len(content) if claimed is None else claimed)


def left(cache):
    return sorted(str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file())


def test_missing_files_are_downloaded_once(server, mnist):
    cache, arrays = mnist
    for _ in range(2):
        np.testing.assert_array_equal(load_dataset("mnist").train.y, arrays[FILES[1]])
    assert left(cache) == sorted(f"mnist/{name}.gz" for name in FILES)
    assert len(server.asked) == 4
    assert available("mnist") == cache / "mnist"


@pytest.mark.usefixtures("mnist")
def test_bases_are_downloaded():
    assert available("mnist-stack-diff") is None
    fetch("mnist-stack-diff")
    assert available("mnist-stack-diff") == available("mnist")


@pytest.mark.usefixtures("mnist")
def test_nothing_is_downloaded_unasked(server):
    with pytest.raises(InputError, match="not here"):
        load_dataset("mnist", download=False)
    assert server.asked == []


def test_only_what_is_missing_is_downloaded(server, mnist):
    cache, arrays = mnist
    write_idx(cache / "mnist", {name: arrays[name] for name in FILES[:3]})
    fetch("mnist")
    assert server.asked == [f"/{FILES[3]}.gz"]


def wrong_content(server, name, content):
    serve(server, name, gzip.compress(gzip.decompress(content)[:-1] + b"\xff"))


def web_page(server, name, _):
    serve(server, name, b"<!doctype html><html>please log in</html>")


def interrupted(server, name, content):
    serve(server, name, content[:100], claimed=len(content))


def not_found(server, name, _):
    del server.files[f"/{name}"]


def redirected(server, name, _):
    server.answers[f"/{name}"] = 302, {"Location": "http://127.0.0.1:9/"}


def redirected_to_a_file(server, name, _):
    server.answers[f"/{name}"] = 302, {"Location": "file:///etc/hostname"}


def endless(server, name, _):
    serve(server, name, bytes(10**7))


def inflating(server, name, _):
    serve(server, name, gzip.compress(bytes(10**7)))
    server.answers[f"/{name}"] = 200, {"Content-Encoding": "gzip"}


BREAKS = [
    *(wrong_content, web_page, interrupted, not_found),
    *(redirected, redirected_to_a_file, endless, inflating),
]


@pytest.mark.slow
@pytest.mark.parametrize("break_", BREAKS)
def test_a_failed_download_leaves_nothing_behind(server, mnist, break_):
    cache, arrays = mnist
    name = f"{FILES[2]}.gz"
    good = server.files[f"/{name}"][0]
    break_(server, name, good)
    with pytest.raises(InputError, match=FILES[2]):
        load_dataset("mnist")
    assert left(cache) == sorted(f"mnist/{name}.gz" for name in FILES[:2])
    assert available("mnist") is None
    serve(server, name, good)
    server.answers.clear()
    np.testing.assert_array_equal(load_dataset("mnist").test.y, arrays[FILES[3]])


@pytest.mark.parametrize("break_", [endless, inflating])
def test_a_download_is_broken_off_where_it_is_too_long(server, mnist, break_):
    break_(server, f"{FILES[0]}.gz", b"")
    # 2 * (60 * 28 * 28 + 16) + 2**16
    with pytest.raises(InputError, match=r"cannot download .*it sends more than 159,648 bytes"):
        load_dataset("mnist")
    assert left(mnist[0]) == []


def test_a_folder_in_the_place_of_a_file(mnist):
    cache, _ = mnist
    (cache / "mnist" / f"{FILES[1]}.gz").mkdir(parents=True)
    with pytest.raises(InputError, match=rf"cannot store {FILES[1]}\.gz in .*mnist"):
        load_dataset("mnist")


def test_two_at_once(mnist):
    cache, arrays = mnist
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(load_dataset, ["mnist", "mnist"]))
    for data in both:
        np.testing.assert_array_equal(data.test.y, arrays[FILES[3]])
    assert left(cache) == sorted(f"mnist/{name}.gz" for name in FILES)


def test_asked_to_download_what_a_named_folder_lacks(mnist, tmp_path):
    cache, arrays = mnist
    write_idx(tmp_path / "named" / "mnist", {FILES[0]: arrays[FILES[0]]})
    with pytest.raises(InputError, match="only some of the files"):
        load_dataset("mnist", data_dir=tmp_path / "named")
    fetch("mnist", data_dir=tmp_path / "named")
    assert available("mnist", tmp_path / "named") == cache / "mnist"
    load_dataset("mnist", data_dir=tmp_path / "named")


def test_a_key_press_leaves_nothing_behind(mnist, monkeypatch):
    cache, _ = mnist

    def retrieve(_, __, name, folder, **___):
        (folder / name).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    with pytest.raises(KeyboardInterrupt):
        load_dataset("mnist")
    assert left(cache) == []


def test_no_connection(mnist, monkeypatch):
    expect(monkeypatch, mnist[1], url="http://127.0.0.1:9/")
    with pytest.raises(InputError, match=r"cannot download http://127\.0\.0\.1:9/.*by hand"):
        load_dataset("mnist")


@pytest.mark.usefixtures("mnist")
def test_a_cache_that_cannot_be_written(monkeypatch, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr(places, "cache_folder", lambda: tmp_path / "file")
    with pytest.raises(InputError, match=r"cannot write to .*CLUSTERABILITY_DATA"):
        load_dataset("mnist")


@pytest.mark.usefixtures("mnist")
def test_no_bar_in_a_pipe(capfd):
    load_dataset("mnist", progress=True)
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("mnist")
def test_a_bar_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    load_dataset("mnist", progress=True)
    assert FILES[0] in capsys.readouterr().err


def archive(batches, folder="cifar-10-batches-bin"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as members:
        for name, content in {**batches, "../../escaped": b"x", "readme.html": b"x"}.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            members.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def cifar(server, monkeypatch, tmp_path):
    """How to serve an archive in the place of CIFAR-10's; and the cache."""
    cache = alone(monkeypatch, tmp_path)

    def put(content, md5=None):
        (tmp_path / "archive").write_bytes(content)
        md5 = md5 or pooch.file_hash(str(tmp_path / "archive"), "md5")
        (tmp_path / "archive").unlink()
        files = CifarSet(f"{server.url}cifar.tar.gz", md5, n_per_batch=20)
        monkeypatch.setitem(DATASETS, "cifar-10", replace(DATASETS["cifar-10"], files=files))
        serve(server, "cifar.tar.gz", content)

    return put, cache


def test_an_archive_is_unpacked(cifar, tmp_path):
    put, cache = cifar
    batches, x, y = binary_batches(20)
    put(archive(batches))
    data = load_dataset("cifar-10")
    np.testing.assert_array_equal(data.train.x.reshape(100, -1), x[:100])
    np.testing.assert_array_equal(data.test.y, y[100:])
    assert left(cache) == sorted(f"cifar-10-batches-bin/{name}" for name in batches)
    assert not list(tmp_path.rglob("escaped"))


def test_a_wrong_archive_that_is_too_long(cifar):
    put, cache = cifar
    put(bytes(10**7))
    with pytest.raises(InputError, match=r"cannot download .*it sends more than"):
        load_dataset("cifar-10")
    assert left(cache) == []


@pytest.mark.parametrize("what", ["md5", "member", "folder", "size", "labels"])
def test_a_wrong_archive_is_refused(cifar, what):
    put, cache = cifar
    batches, _, _ = binary_batches(20)
    if what == "member":
        del batches["test_batch.bin"]
    if what == "size":
        batches["data_batch_2.bin"] += b"x"
    if what == "labels":
        batches["data_batch_2.bin"] = b"\x09" + batches["data_batch_2.bin"][1:]
    content = archive(batches, "elsewhere" if what == "folder" else "cifar-10-batches-bin")
    put(content, "0" * 32 if what == "md5" else None)
    with pytest.raises(InputError):
        load_dataset("cifar-10")
    assert left(cache) == []
    assert available("cifar-10") is None
