"""Where the work of an evaluation is done: in this process, in others of this machine, or in a Ray cluster.

All give the same results in the same order. Floating point sums depend on the number of threads, so every engine
computes with one.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import time
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

# Seconds that a Ray cluster is waited for: between two looks at it; for a first worker, which imports torch; for any
# CPU of it to have work; for a task, of which the longest, a concept on ODISE without room in the cache, takes hours.
POLL_S, START_S, IDLE_S, TASK_S = 5.0, 600.0, 120.0, 6 * 3600.0
STARTS = 3  # of Ray, which gives its processes half a minute to come up

# Calls a function of (examiner, task) for each task; gives what it returns, in the order of the tasks.
Engine = Callable[[Callable[[Examiner, Task], Done], Sequence[Task]], Iterator[Done]]


def see(examiner: Examiner, items: tuple[Item, ...]) -> int:
    """The work of the first stage: some images through the base. Returns how many."""
    for item in items:
        examiner.see(item)
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
        ResourceError: Ray cannot be started, or its cluster not be joined; by the engine, workers are lost.
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
    if ours:
        _start_ray(workers)
    # A task whose worker dies is started again on another.
    remote: Any = ray.remote(num_cpus=1, max_retries=3)(_in_single_threaded_worker)

    def run(work: Callable[[Examiner, Task], Done], tasks: Sequence[Task]) -> Iterator[Done]:
        waiting: list[Any] = []
        for task in tasks:
            waiting.append(remote.remote(job, work, task))
            if len(waiting) >= 4 * workers:  # results come in order, and nothing waits long for its turn
                yield _fetched(waiting)
        while waiting:
            yield _fetched(waiting)

    try:
        _lost_unless_done([ray.remote(num_cpus=1)(_nothing).remote()], START_S)
        yield run
    finally:
        if ours:
            ray.shutdown()


def _start_ray(workers: int) -> None:
    """Join the cluster that RAY_ADDRESS names; without it, start one here."""
    import ray

    address = os.environ.get("RAY_ADDRESS")
    # Ray itself would start a task again for ever whose worker it kills for want of memory.
    own: dict[str, Any] = {"num_cpus": workers, "_system_config": {"task_oom_retries": 3}}
    for attempt in range(STARTS):
        try:
            ray.init(log_to_driver=False, include_dashboard=False, **({} if address else own))
            return
        except Exception as error:  # which is what Ray raises where its processes are not up within seconds
            if address or attempt == STARTS - 1:
                what = f"the Ray cluster at RAY_ADDRESS={address} cannot be joined" if address else "Ray does not start"
                raise ResourceError(
                    f"{what} ({' '.join(str(error).split())[:120]}).",
                    hint="Run the same command again when the machine has less to do, or with --engine local.",
                ) from error


def _fetched(waiting: list[Any]) -> Any:
    """The result of the first task of `waiting`, which is taken out."""
    import ray

    _lost_unless_done(waiting, TASK_S)
    try:
        return ray.get(waiting.pop(0))
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError) as error:
        what = f"a worker was lost again and again ({type(error).__name__}), probably for want of memory"
        raise _lost(what) from None
    except ray.exceptions.RayError as error:
        raise _lost(f"the Ray cluster failed ({type(error).__name__})") from None


def _lost_unless_done(waiting: list[Any], patience: float) -> None:
    """Return when the first task has ended.

    Raises:
        ResourceError: no task of all has ended for `patience` seconds, or no CPU of the cluster had work for IDLE_S.
    """
    import ray

    free: Callable[[], dict[str, float]] = ray.available_resources
    whole: Callable[[], dict[str, float]] = ray.cluster_resources
    ended, since, at_work = 0, time.monotonic(), time.monotonic()
    while not ray.wait(waiting[:1], timeout=POLL_S)[0]:
        now = time.monotonic()
        done, _ = ray.wait(waiting, num_returns=len(waiting), timeout=0)
        if len(done) > ended:
            ended, since = len(done), now
        if free().get("CPU", 0) < whole().get("CPU", 0):
            at_work = now
        if now - since > patience:
            raise _lost(f"no task of the Ray cluster has ended for {round((now - since) / 60)} minutes")
        if now - at_work > IDLE_S:
            raise _lost("no worker of the Ray cluster takes up the work that waits for one")


def _lost(what: str) -> ResourceError:
    hint = "Run the same command again, perhaps with fewer --workers; it goes on from what is done."
    return ResourceError(f"{what}.", hint=hint)


def _nothing() -> None:
    """The task of a worker that only has to start."""


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
