"""What code under test may claim beside memory and time, as the process above sees it."""

import os
import threading

from course.probing import quotas
from course.probing.quotas import MAX_FILES, MAX_THREADS, excess


def test_what_right_code_takes_is_not_too_much(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "checkpoint.pt").write_bytes(bytes(1 << 20))
    assert excess(os.getpid(), str(tmp_path)) == ""
    assert excess(2**22 + 1, str(tmp_path / "gone")) == "", "both may be gone by now"


def test_threads_are_counted(tmp_path):
    end = threading.Event()
    before = threading.stack_size(1 << 16)
    threads = [threading.Thread(target=end.wait) for _ in range(MAX_THREADS + 1)]
    try:
        for thread in threads:
            thread.start()
        assert "threads at once" in excess(os.getpid(), str(tmp_path))
    finally:
        end.set()
        threading.stack_size(before)
        for thread in threads:
            thread.join()


def test_files_and_folders_and_their_bytes_are_counted(tmp_path, monkeypatch):
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    for number in range(MAX_FILES - 2):
        (deep / str(number)).touch()
    assert excess(os.getpid(), str(tmp_path)) == ""
    (deep / "one more").symlink_to("/")
    assert excess(os.getpid(), str(tmp_path)) == "more than 1,000 files"
    (deep / "one more").unlink()
    monkeypatch.setattr(quotas, "MAX_BYTES", 1 << 20)
    (deep / "0").write_bytes(bytes(2 << 20))
    assert excess(os.getpid(), str(tmp_path)) == "files of more than 1 MB"


def test_a_folder_that_is_closed_to_the_grader_is_too_much(tmp_path, monkeypatch):
    def refuses(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(quotas.os, "scandir", refuses)
    assert excess(os.getpid(), str(tmp_path)) == "a folder that it closed to the grader"
