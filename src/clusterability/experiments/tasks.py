"""What a reproduction does, piece by piece: train a network, measure one, measure new ones.

Each piece has a result that is a file named by a hash of everything on which it depends, so that
nothing is done twice, and pieces that are lost can be done by anyone.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from clusterability._version import __version__
from clusterability.arguments import number
from clusterability.errors import InputError
from clusterability.experiments.imagenet import MeasureFile
from clusterability.experiments.store import Fields, Store, Task, Where, claimed, parse_object
from clusterability.files.writing import write_whole
from clusterability.result import Clusterability
from clusterability.settings import Settings
from clusterability.training import TrainingSpec
from clusterability.training.folders import RECORD
from clusterability.training.randomness import Randomness, Use
from clusterability.training.record import read_beside


@dataclass(frozen=True)
class Train:
    """Train one network."""

    spec: TrainingSpec

    @cached_property
    def key(self) -> str:
        """Return the name of the run."""
        return self.spec.name

    def needs(self) -> Task | None:
        """Return None: nothing comes before."""
        return None

    def is_done(self, store: Store) -> bool:
        """Return whether there is a record."""
        return (store.runs / self.spec.name / RECORD).exists()

    def do(self, store: Store, where: Where) -> None:
        """Train it; one that diverges is finished too."""
        folder = store.runs / self.spec.name
        with claimed(folder, "train"):
            if self.is_done(store):
                return
            # The list of experiments need not wait for what the work needs, such as numba.
            from clusterability.training import DivergedError, train

            with suppress(DivergedError):
                train(
                    self.spec,
                    out=store.runs,
                    data_dir=where.data_dir,
                    device=where.device,
                    threads=1,
                )

    def to_dict(self) -> Fields:
        """Return what the task is made of."""
        return {"kind": "train", "spec": self.spec.to_dict()}

    @classmethod
    def from_dict(cls, data: Fields) -> Self:
        """Return the task of :meth:`to_dict`."""
        return cls(TrainingSpec.from_dict(data["spec"]))


@dataclass(frozen=True)
class Measure:
    """Measure a trained network; of one that diverged before the phase's end there is none."""

    spec: TrainingSpec
    phase: str
    settings: Settings

    @cached_property
    def key(self) -> str:
        """Return the names of the run, the phase and the settings."""
        return f"{self.spec.name}/{self.phase}-{self.settings.digest}"

    def needs(self) -> Task | None:
        """Return the training."""
        return Train(self.spec)

    def is_done(self, store: Store) -> bool:
        """Return whether the measurement is there, or can never be."""
        if store.measurement_path(self.spec, self.phase, self.settings).exists():
            return True
        run = store.run(self.spec)
        return run is not None and self.phase not in run.phases

    def do(self, store: Store, where: Where) -> None:
        """Measure it."""
        path = store.measurement_path(self.spec, self.phase, self.settings)
        with claimed(path.parent, path.stem):
            run = store.run(self.spec)
            if run is None:
                raise InputError(f"{self.spec.name} is not trained yet")
            if self.is_done(store):
                return
            from clusterability.measuring import measure

            result = measure(
                run.network(self.phase),
                name=f"{self.spec.name}/{self.phase}",
                workers=1,
                device=where.device,
                **self.settings.choices(),
            )
            write_whole(path, (result.to_json() + "\n").encode())

    def to_dict(self) -> Fields:
        """Return what the task is made of."""
        settings = self.settings.to_dict()
        return {
            "kind": "measure",
            "spec": self.spec.to_dict(),
            "phase": self.phase,
            "settings": settings,
        }

    @classmethod
    def from_dict(cls, data: Fields) -> Self:
        """Return the task of :meth:`to_dict`."""
        spec, settings = TrainingSpec.from_dict(data["spec"]), Settings.from_dict(data["settings"])
        return cls(spec, data["phase"], settings)


@dataclass(frozen=True)
class MeasureNew:
    """Measure networks as they begin, with the seeds 0, 1, ...

    Args:
        network: name of the network.
        shape: of one input.
        n_networks: how many.
        conventions: of the measurements, which have no shuffles.
        n_tags: of clusterable initialization; 0 for the ordinary one.
        beta: of clusterable initialization.
    """

    network: str
    shape: tuple[int, ...]
    n_networks: int
    conventions: str
    n_tags: int = 0
    beta: float = 0.6

    @cached_property
    def key(self) -> str:
        """Return the network's name and a hash."""
        text = json.dumps([asdict(self), __version__], sort_keys=True)
        return f"new/{self.network}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    def needs(self) -> Task | None:
        """Return None: nothing comes before."""
        return None

    def path(self, store: Store) -> Path:
        """Return the path of the n-cuts."""
        return store.folder / f"{self.key}.json"

    def is_done(self, store: Store) -> bool:
        """Return whether the n-cuts are there."""
        return self.path(store).exists()

    def ncuts(self, store: Store) -> dict[str, list[float]] | None:
        """Return the n-cuts by k-means, ``ncut``, and after local search, ``refined_ncut``."""
        return read_beside(self.path(store), self._parse, "to measure again")

    def _parse(self, text: str) -> dict[str, list[float]]:
        stored, found = parse_object(text), {}
        for name in ("ncut", "refined_ncut"):
            values = stored.get(name)
            if not isinstance(values, list) or len(values) != self.n_networks:
                raise InputError(f"{name} is no list of {self.n_networks} numbers")
            found[name] = [number(name, value) for value in values]
        return found

    def do(self, store: Store, where: Where) -> None:
        """Draw and measure them."""
        path = self.path(store)
        with claimed(path.parent, path.stem):
            if self.is_done(store):
                return
            results = [self._measure(seed, where) for seed in range(self.n_networks)]
            found = {
                "ncut": [result.plain.ncut for result in results],
                "refined_ncut": [result.refined.ncut for result in results],
            }
            write_whole(path, (json.dumps(found, indent=1) + "\n").encode())

    def _measure(self, seed: int, where: Where) -> Clusterability:
        from clusterability.measuring import measure
        from clusterability.promoting import clusterable_init_
        from clusterability.training import build

        generator = Randomness(seed).numpy(Use.INITIALIZATION)
        network = build(self.network, self.shape, 10, generator=generator).eval()
        if self.n_tags:
            clusterable_init_(network, self.n_tags, self.beta, seed=seed, input_shape=self.shape)
        return measure(
            network,
            n_shuffles=0,
            seed=seed,
            conventions=self.conventions,
            input_shape=self.shape,
            workers=1,
            device=where.device,
        )

    def to_dict(self) -> Fields:
        """Return what the task is made of."""
        return {"kind": "new", **asdict(self)}

    @classmethod
    def from_dict(cls, data: Fields) -> Self:
        """Return the task of :meth:`to_dict`."""
        fields = {name: value for name, value in data.items() if name != "kind"}
        return cls(**{**fields, "shape": tuple(fields["shape"])})


KINDS: dict[str, Any] = {"train": Train, "measure": Measure, "new": MeasureNew, "file": MeasureFile}


def task_from_dict(data: Fields) -> Task:
    """Return the task that :meth:`Task.to_dict` describes."""
    task: Task = KINDS[data["kind"]].from_dict(data)
    return task
