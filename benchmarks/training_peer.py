"""A peer's trainer for `training.py`, run by the Python in which the peer is installed: TRL or LLaMA-Factory.

What it is told comes as one JSON object: the base's folder, the records in the order in which they are to be seen, and
the peer's own settings, so that the driver alone says what differs between two trainers.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from training_pace import Pace
from transformers import TrainerCallback

WARM_UP = 2


class Paced(TrainerCallback):  # type: ignore[misc]
    """Steps only when told to."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Losses, where the settings have them logged."""
        if logs and "loss" in logs:
            self.pace.lost(float(logs["loss"]))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Wait for the driver."""
        if not self.pace.stepped():
            control.should_training_stop = True


def rows(path: str) -> list[dict[str, list[int]]]:
    """The records in order."""
    with Path(path).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def trl(told: dict[str, Any], pace: Pace) -> None:
    """SFTTrainer on tokens that are made already, with PEFT's LoRA."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    lora = LoraConfig(**told["lora"], target_modules="all-linear", task_type="CAUSAL_LM")
    given = Dataset.from_list(rows(told["data"]))
    args = SFTConfig(output_dir=told["out"] + "/trainer", use_cpu=True, **told["settings"])
    trainer = SFTTrainer(model=told["base"], args=args, train_dataset=given, peft_config=lora, callbacks=[Paced(pace)])
    trainer.train()
    trainer.model.save_pretrained(told["out"])


def llamafactory(told: dict[str, Any], pace: Pace) -> None:
    """`run_exp` on a dataset that is tokenised already."""
    from datasets import Dataset, DatasetDict
    from llamafactory.train.tuner import run_exp

    tokenised = str(Path(told["out"]) / "tokenised")
    given = [
        {
            "input_ids": row["input_ids"],
            "attention_mask": [1] * len(row["input_ids"]),
            "labels": [t if m else -100 for t, m in zip(row["input_ids"], row["completion_mask"], strict=True)],
            "images": None,
            "videos": None,
            "audios": None,
        }
        for row in rows(told["data"])
    ]
    DatasetDict({"train": Dataset.from_list(given)}).save_to_disk(tokenised)
    lora = told["lora"]
    args = {
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "lora",
        "lora_rank": lora["r"],
        "lora_alpha": lora["lora_alpha"],
        "lora_target": "all",
        "model_name_or_path": told["base"],
        "template": "empty",
        "dataset": "given",
        "tokenized_path": tokenised,
        "output_dir": told["out"],
        "overwrite_output_dir": True,
        "use_cpu": True,
        "disable_shuffling": True,
        **told["settings"],
    }
    run_exp(args, callbacks=[Paced(pace)])


def main() -> None:
    """Train as told by the first argument."""
    told = json.loads(sys.argv[1])
    pace = Pace(WARM_UP)
    torch.set_num_threads(told["threads"])
    {"trl": trl, "llamafactory": llamafactory}[told["kind"]](told, pace)
    pace.ended()


if __name__ == "__main__":
    main()
