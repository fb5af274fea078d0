"""The image that the Dockerfile describes, and containers of it, made of namespaces: no engine needed.

This machine stands in for the base image: its root below a layer that is thrown away, and the Python
that runs these tests in /usr/local, where the official images have theirs. What the Dockerfile says
is done word by word: its RUN lines run in a shell in there.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path

from attrs import define, field, frozen

from tests.container_files import ROOT, Stage, build_context, read_dockerfile
from tests.scenarios.namespaces import Namespace
from tests.scenarios.programs import Finished, eventually

_PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
_HEX_NAME = "3f9c0a7be214"  # how engines name a container that nobody named

_HOLD = """set -e
mount -t tmpfs -o mode=755 tmpfs "$1"
touch "$1/ready"
exec sleep infinity
"""

_LAYER = """set -e
cd "$1"
mkdir -p "$2"/{up,work,root,local-up,local-work}
R=$1/$2/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/$2/up,workdir=$1/$2/work" "$R"
mount -t proc proc "$R/proc"; mount --rbind /dev "$R/dev"
mount -t tmpfs -o mode=1777 tmpfs "$R/tmp"; mount -t tmpfs -o mode=755 tmpfs "$R/run"
if [ "$3" != /usr ]; then
  mount -t overlay overlay \
    -o "lowerdir=$3,upperdir=$1/$2/local-up,workdir=$1/$2/local-work" "$R/usr/local"
fi
# a base image has no people
for of in passwd: group:g; do
  list=$R/etc/${of%:*} shadow=$R/etc/${of#*:}shadow
  awk -F: '$3 < 1000 || $3 == 65534' "$list" >"$list.kept"; cat "$list.kept" >"$list"
  awk -F: 'NR == FNR { kept[$1]; next } $1 in kept' "$list" "$shadow" >"$list.kept"
  cat "$list.kept" >"$shadow"
done
python=/usr/local/bin/$4; [ "$3" != /usr ] || python=/usr/bin/$4
rm -f "$R/usr/local/bin/python"; ln -s "$python" "$R/usr/local/bin/python"
chroot "$R" /sbin/ldconfig
"""

#: Process 1 becomes the entry point itself, by exec alone, as with an engine.
_START = """set -e
R=$1; shift
while [ "$1" != -- ]; do
  [ -d "$R$2" ] || { [ -d "$1" ] && mkdir -p "$R$2"; } || { mkdir -p "${R}${2%/*}"; touch "$R$2"; }
  mount --bind "$1" "$R$2"; shift 2
done; shift
mount -t proc proc "$R/proc"
mount -t tmpfs -o mode=1777 tmpfs "$R/tmp"
mount -o remount,bind,ro "$R"
hostname "$1"; shift
exec chroot "$R" "$@"
"""

_RIGHTS = ("--clear-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all")


@define(eq=False)
class Image:
    """A built image.

    Args:
        holder: The process whose mount namespace has the layers.
        folder: Where they are, in there.
    """

    holder: int
    folder: Path
    stage: Stage

    @property
    def root(self) -> Path:
        """The root of the final layer, as somebody outside of the namespace reaches it."""
        return Path(f"/proc/{self.holder}/root{self.folder}/final/root")

    @property
    def env(self) -> dict[str, str]:
        """The variables of the image."""
        return self.stage.env

    @property
    def user(self) -> tuple[int, int]:
        """Uid and gid of what runs in it."""
        uid, gid = self.stage.last("USER").rest.split(":")
        return int(uid), int(gid)

    def as_user(self, env: Mapping[str, str]) -> list[str]:
        """Return the words in front of a program that give it the image's user and no rights."""
        uid, gid = self.user
        variables = (self.env | dict(env)).items()
        return [
            *("setpriv", f"--reuid={uid}", f"--regid={gid}", *_RIGHTS, "env", "-i"),
            *(f"{name}={value}" for name, value in variables),
        ]

    def new_volume(self, folder: Path) -> Path:
        """Make a named volume: a new one takes owner and mode from the image."""
        folder.mkdir()
        found = self.root.joinpath(self.stage.last("VOLUME").rest.lstrip("/")).stat()
        os.chown(folder, found.st_uid, found.st_gid)
        folder.chmod(found.st_mode & 0o7777)
        return folder


@frozen
class Container:
    """A container; its process 1 is ``init`` out here."""

    image: Image
    process: subprocess.Popen[bytes]
    output: Path
    said_before: int
    env: Mapping[str, str]

    @cached_property
    def init(self) -> int:
        """The pid of its process 1, as seen from outside."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        eventually(children.read_text)
        return int(children.read_text())

    def said(self) -> str:
        """What it printed so far, as `docker logs` shows it; waits while it is still printing."""
        seen: int | None = None
        while self.process.poll() is None and (size := self.output.stat().st_size) != seen:
            seen = size
            time.sleep(0.1)
        return self.said_by_now()

    def said_by_now(self) -> str:
        """The same, whatever is on its way: for who looks again and again."""
        return self.output.read_bytes()[self.said_before :].decode()

    def listens(self) -> bool:
        """Tell whether the gateway in it says so; fails the test once it has ended."""
        assert self.process.poll() is None, self.said_by_now()
        return "listening on" in self.said_by_now()

    def tell(self, number: signal.Signals) -> None:
        """Send a signal to process 1, as an engine does."""
        os.kill(self.init, number)

    def stop(self, *, within_s: float = 10.0) -> int:
        """Do what `docker stop` does, without its patience; return the exit code."""
        self.tell(signal.SIGTERM)
        return self.process.wait(within_s)

    def execute(self, *words: str, root: bool = False) -> Finished:
        """Run a command in it, as `docker exec` does."""
        become = ["env", "-i", *(f"{k}={v}" for k, v in (self.image.env | dict(self.env)).items())]
        done = subprocess.run(
            [
                *("nsenter", "-t", str(self.init), "-m", "-p", "-n", "-u", "-i", "-r", "-w", "--"),
                *(become if root else self.image.as_user(self.env)),
                *words,
            ],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    def zombies(self) -> list[str]:
        """Return the processes in it that ended and that nobody waited for."""
        listed = self.execute("ps", "-eo", "stat=,args=").out.splitlines()
        return [line for line in listed if line.startswith("Z")]


@contextmanager
def started(
    image: Image,
    output: Path,
    *words: str,
    network: Namespace,
    env: Mapping[str, str] | None = None,
    mounts: Mapping[Path, str] | None = None,
    name: str = _HEX_NAME,
) -> Iterator[Container]:
    """Start a container; it is gone when the body ends, however it ends.

    Args:
        output: Where what it prints goes.
        words: Its command; the image's own if there is none.
        mounts: What of this machine is found where inside; the rest of it is read-only.
    """
    layer = f"{image.folder}/final/root"
    command = [*image.stage.last("ENTRYPOINT").words, *(words or image.stage.last("CMD").words)]
    shared = [str(word) for pair in (mounts or {}).items() for word in pair]
    with output.open("ab") as sink:
        said_before = sink.tell()
        process = subprocess.Popen(
            [
                *("nsenter", f"--mount=/proc/{image.holder}/ns/mnt"),
                *(f"--net=/proc/{network.pid}/ns/net", "--"),
                *("unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child"),
                *("bash", "-c", _START, "start", layer, *shared, "--", name),
                *(*image.as_user(env or {}), *command),
            ],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
        )
    try:
        yield Container(image, process, output, said_before, dict(env or {}))
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a container from its process 1, whose end ends all: becoming a user cut its other bond."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if process.poll() is None:
        for pid in children.read_text().split():
            os.kill(int(pid), signal.SIGKILL)
        process.kill()
    process.wait()


@contextmanager
def built_image() -> Iterator[Image]:
    """Build the image as the Dockerfile says; it is gone when the body ends."""
    folder = Path(tempfile.mkdtemp(prefix="openclaw-image-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        words = ["unshare", "--mount", "--propagation=private", "bash", "-c", _HOLD, "hold"]
        holder = stack.enter_context(subprocess.Popen([*words, str(folder)]))
        stack.callback(holder.kill)
        inside = Path(f"/proc/{holder.pid}/root{folder}")
        eventually((inside / "ready").exists)
        stages = read_dockerfile()
        roots: dict[str | None, Path] = {}
        for stage in stages:
            name = "final" if stage is stages[-1] else stage.name or "unnamed"
            _run_inside(holder.pid, _LAYER, str(folder), name, sys.base_prefix, _PYTHON)
            roots[stage.name] = root = inside / name / "root"
            _lend_pip(root)
            _Build(holder.pid, f"{folder}/{name}/root", root, roots).carry_out(stage)
        yield Image(holder.pid, folder, stages[-1])


def _run_inside(holder: int, script: str, *words: str) -> None:
    done = subprocess.run(
        ["nsenter", "-t", str(holder), "-m", "--", "bash", "-c", script, "inside", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def _lend_pip(root: Path) -> None:
    """Give a Python of the distribution the pip that official images have: that of these tests."""
    if sys.base_prefix != "/usr":
        return
    place = root / "usr/local/lib" / _PYTHON / "dist-packages"
    pip = Path(sysconfig.get_paths()["purelib"]) / "pip"
    if pip.is_dir() and not (place / "pip").exists():
        shutil.copytree(pip, place / "pip")


@define
class _Build:
    """One stage at work.

    Args:
        layer: The root in the holder's namespace; ``root`` is the same as reached from outside.
        others: The roots of the stages so far.
    """

    holder: int
    layer: str
    root: Path
    others: Mapping[str | None, Path]
    env: dict[str, str] = field(factory=dict)
    folder: str = "/"

    def carry_out(self, stage: Stage) -> None:
        """Do what every instruction says; what only describes containers is for those."""
        does: dict[str, Callable[[str], None]] = {
            "WORKDIR": self._work_in,
            "COPY": self._copy,
            "ENV": self._set,
            "RUN": self._run,
        }
        for one in stage.instructions:
            if one.name in does:
                does[one.name](one.rest)

    def _place(self, name: str) -> Path:
        return self.root / os.path.normpath(os.path.join("/", self.folder, name)).lstrip("/")

    def _work_in(self, folder: str) -> None:
        self.folder = folder
        self._place(".").mkdir(parents=True, exist_ok=True)

    def _set(self, text: str) -> None:
        name, _, value = text.partition("=")
        self.env[name] = value

    def _copy(self, text: str) -> None:
        *sources, target = text.split()
        if sources[0].startswith("--from="):
            origin, (source,) = self.others[sources[0].removeprefix("--from=")], sources[1:]
            shutil.copytree(origin / source.lstrip("/"), self._place(target), symlinks=True)
            return
        for name in build_context():
            for source in sources:
                if name == source or name.startswith(f"{source}/"):
                    inner = name.removeprefix(source).lstrip("/") or name
                    place = self._place(target) / inner
                    place.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(ROOT / name, place)

    def _run(self, line: str) -> None:
        """Run a line as root, with what this machine knows about package registries."""
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        lent = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE"):
            lent |= {name: os.environ[name]} if name in os.environ else {}
        env = {"PATH": path, "HOME": "/root"} | lent | self.env
        done = subprocess.run(
            [
                *("nsenter", "-t", str(self.holder), "-m", "--", "chroot", self.layer, "env", "-i"),
                *(f"{name}={value}" for name, value in env.items()),
                *("/bin/sh", "-c", f"cd {self.folder} && {line}"),
            ],
            capture_output=True,
            text=True,
            timeout=170,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, f"RUN {line}\n{done.stdout}{done.stderr}"
