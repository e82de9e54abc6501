"""Where the work of an evaluation is done: in this process, in others of this machine, or in a Ray cluster.

All give the same results in the same order. Floating point sums depend on the number of threads, so every engine
computes with one.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, Literal, TypeVar

import torch

from ovss_personal.benchmarks.manifest import Item
from ovss_personal.errors import ResourceError, UsageError
from ovss_personal.evaluation.examiner import Examiner, Job
from ovss_personal.evaluation.results import Result

EngineName = Literal["local", "ray"]
Task = TypeVar("Task")
Done = TypeVar("Done")

# Calls a function of (examiner, task) for each task; gives what it returns, in the order of the tasks.
Engine = Callable[[Callable[[Examiner, Task], Done], Sequence[Task]], Iterator[Done]]


def look(examiner: Examiner, items: tuple[Item, ...]) -> int:
    """The work of the first stage: some images through the base. Returns how many."""
    examiner.look(items)
    return len(items)


def examine(examiner: Examiner, number: int) -> list[Result]:
    """The work of the second stage: one concept."""
    return examiner.examine(number)


def engine(name: EngineName, examiner: Examiner, job: Job, workers: int) -> AbstractContextManager[Engine[Any, Any]]:
    """The engine of that name.

    Args:
        examiner: does the work itself if that is to be done here.
        job: makes an examiner of its own in each worker.
        workers: processes; of a Ray cluster, tasks at a time.

    Raises:
        UsageError: Ray is not installed.
    """
    if name == "ray":
        return _ray(job, workers)
    return in_process(examiner) if workers == 1 else _processes(job, workers)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for torch in this process, until the block ends."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def in_process(examiner: Examiner) -> Iterator[Engine[Any, Any]]:
    yield lambda work, tasks: (work(examiner, task) for task in tasks)


@contextmanager
def _processes(job: Job, workers: int) -> Iterator[Engine[Any, Any]]:
    # Spawned, since a forked process inherits torch's threads and locks in an unknown state.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=torch.set_num_threads, initargs=(1,)) as pool:

        def run(work: Callable[[Examiner, Task], Done], tasks: Sequence[Task]) -> Iterator[Done]:
            futures = [pool.submit(_in_worker, job, work, task) for task in tasks]
            for future in futures:
                try:
                    yield future.result()
                except BrokenProcessPool:
                    raise ResourceError(
                        "a worker was killed, probably for want of memory.",
                        hint="Run the same command again with fewer --workers; it goes on from what is done.",
                    ) from None

        try:
            yield run
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _ray(job: Job, workers: int) -> Iterator[Engine[Any, Any]]:
    if find_spec("ray") is None:
        raise UsageError("the engine 'ray' needs Ray, which is not installed.", hint="pip install 'ovss-personal[ray]'")
    import ray

    ours = not ray.is_initialized()
    if ours:  # RAY_ADDRESS names a cluster; without it, one is started here
        ray.init(log_to_driver=False, include_dashboard=False, **_local_cluster(workers))
    # A task whose worker dies is started again on another.
    remote: Any = ray.remote(num_cpus=1, max_retries=3)(_in_single_threaded_worker)

    def result(reference: Any) -> Any:
        try:
            return ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except ray.exceptions.RayError as error:
            raise ResourceError(
                f"a worker was lost again and again ({type(error).__name__}), probably for want of memory.",
                hint="Run the same command again with fewer --workers; it goes on from what is done.",
            ) from None

    def run(work: Callable[[Examiner, Task], Done], tasks: Sequence[Task]) -> Iterator[Done]:
        waiting: list[Any] = []
        for task in tasks:
            waiting.append(remote.remote(job, work, task))
            if len(waiting) >= 4 * workers:  # results come in order, and nothing waits long for its turn
                yield result(waiting.pop(0))
        while waiting:
            yield result(waiting.pop(0))

    try:
        yield run
    finally:
        if ours:
            ray.shutdown()


def _local_cluster(workers: int) -> dict[str, Any]:
    return {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": workers}


def _in_single_threaded_worker(job: Job, work: Callable[[Examiner, Task], Done], task: Task) -> Done:
    torch.set_num_threads(1)
    return _in_worker(job, work, task)


def _in_worker(job: Job, work: Callable[[Examiner, Task], Done], task: Task) -> Done:
    return work(_examiner(pickle.dumps(job)), task)


@lru_cache(maxsize=1)
def _examiner(pickled: bytes) -> Examiner:
    """A worker's own; loading a base takes seconds."""
    job: Job = pickle.loads(pickled)
    return job.examiner()
