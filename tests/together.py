"""Two processes that train together on the CPU, as torchrun would start them."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from killing import begin
from ports import free_port

from bitcodes.settings import Settings


def train_together(
    settings: Settings, run: Path, at: str = "", rank: int = 0, step: int = 0
) -> list[int]:
    """The exit codes of two processes that train one model in the folder `run`.

    `at` is what happens after a step in one of them: "interrupt" is Ctrl-C, "error" an error.
    What they say goes to the files "0.txt" and "1.txt".
    """
    port = free_port()
    processes = [
        begin(_train, number, port, settings, run, at if number == rank else "", step)
        for number in range(2)
    ]
    for process in processes:
        process.join(60)
        process.kill()
        process.join()
    return [process.exitcode or 0 for process in processes]


def _train(rank: int, port: int, settings: Settings, run: Path, at: str, step: int) -> None:
    import small  # noqa: F401 - registers its backbones
    import torch

    from bitcodes.errors import BitcodesError
    from bitcodes.training import finetune, trainer

    torch.set_num_threads(1)
    group = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in {**group, **where}.items()})
    inner: Callable[..., float] = trainer.Trainer._train_step

    def train_step(this: trainer.Trainer, *arguments: object) -> float:
        if at and this.step == step:
            if at == "error":
                raise BitcodesError("this process has had enough")
            signal.raise_signal(signal.SIGINT)
        return inner(this, *arguments)

    trainer.Trainer._train_step = train_step  # type: ignore[method-assign]
    with Path(f"{rank}.txt").open("a") as message:

        def say(line: object) -> None:
            print(line, file=message, flush=True)

        try:
            done = finetune(settings, run, workers=0, log=say)
            say(f"done: {len(done.history)} epochs")
        except BitcodesError as error:
            say(f"{type(error).__name__}: {error}")
            sys.stdout.flush()
            os._exit(1)
        except KeyboardInterrupt:
            say("interrupted")
            os._exit(130)
