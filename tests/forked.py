"""What runs in processes forked from the tests' own, which need not import torch once more.

How a process of its own begins is tested where that is the point. torch must have one thread in a
forked process, since its other threads are not there.
"""

import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from contextlib import suppress
from importlib import import_module

import torch
from tqdm import tqdm

from clusterability.cli import main


def on_one_processor():
    """Let this process run on one processor, and so in one thread."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


class Forked:
    """A call in a forked process; has what tests need of ``subprocess.Popen``.

    Args:
        arguments: of ``clusterability``, or a function that is called instead and returns the code.
        before: called in the process, before the command.
        stderr: file descriptor; by default a file, which :meth:`communicate` returns.
    """

    def __init__(self, arguments, before=None, stderr=None):
        self._files = [tempfile.TemporaryFile("w+b") for _ in range(2)]  # noqa: SIM115
        self.returncode = None
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self._run(arguments, before, stderr)

    def _run(self, arguments, before, stderr):
        code = 70
        try:
            os.setsid()
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(self._files[0].fileno(), 1)
            os.dup2(self._files[1].fileno() if stderr is None else stderr, 2)
            sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
            signal.signal(signal.SIGINT, signal.default_int_handler)
            torch.set_num_threads(1)
            tqdm.set_lock(threading.RLock())  # the parent's would stay locked when this is killed
            if before is not None:
                before()
            code = arguments() if callable(arguments) else main([str(a) for a in arguments])
        except BaseException:
            traceback.print_exc()
        finally:
            with suppress(OSError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def poll(self):
        return self._wait(os.WNOHANG)

    def wait(self, timeout=60):
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            assert time.monotonic() < deadline, "the command does not end"
            time.sleep(0.005)
        return self.returncode

    def communicate(self, timeout=60):
        """Wait for the end, and return what was printed."""
        self.wait(timeout)
        for file in self._files:
            file.seek(0)
        out, err = (file.read().decode() for file in self._files)
        self._close()
        return out, err

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def _wait(self, options):
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def _close(self):
        for file in self._files:
            file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.wait()
        self._close()


class ForkedWorker:
    """A forked process that runs a worker's module; has what workers need of ``subprocess.Popen``.

    Like a new process it has a session of its own, and of the open files its input and output.

    Args:
        command: of which the last is the module's name.
    """

    def __init__(self, command, **_options):
        (theirs_in, ours_in), (ours_out, theirs_out) = os.pipe(), os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self._run(command[-1], theirs_in, theirs_out)
        os.close(theirs_in)
        os.close(theirs_out)
        self.stdin = open(ours_in, "w", encoding="utf-8")  # noqa: SIM115
        self.stdout = open(ours_out, encoding="utf-8")  # noqa: SIM115

    def _run(self, module, stdin, stdout):
        try:
            os.setsid()
            os.dup2(stdin, 0)
            os.dup2(stdout, 1)
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
            self._replaced = sys.stdin, sys.stdout  # which would close 0 and 1 with them
            sys.stdin, sys.stdout = open(0), open(1, "w")  # noqa: SIM115
            tqdm.set_lock(threading.RLock())  # of a thread that may be missing here
            import_module(module).main()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(70)

    def wait(self):
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
