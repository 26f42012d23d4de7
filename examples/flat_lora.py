"""LoRA from records to a trained adapter in one flat file, without any abstraction: the readable twin of the real path.

    python examples/flat_lora.py BASE_FOLDER RECORDS.jsonl

It trains all linear layers of the stack with rank 4 on prompt/completion records, and prints the loss of each step.
tests/e2e/test_flat_twin.py holds that `graftwork train` reaches the same losses from the same recipe.
"""

import hashlib
import json
import random
import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoTokenizer

RANK, ALPHA, RATE, STEPS, RECORDS_A_STEP, SEED = 4, 32.0, 3e-3, 8, 8, 3


def flat_lora(base_folder: str, records_file: str) -> list[float]:
    """Train, and return the loss of each step in nats per learned token."""
    # 1. the frozen base
    model = AutoModelForCausalLM.from_pretrained(base_folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(base_folder)
    model.requires_grad_(False)
    model.eval()

    # 2. records to tokens; the answer and the end-of-turn token are learned, nothing else
    rows = [json.loads(line) for line in Path(records_file).read_text("utf-8").splitlines()]
    encoded = []
    for row in rows:
        turns = [{"role": "user", "content": row["prompt"]}]
        before = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        turns.append({"role": "assistant", "content": row["completion"]})
        whole = tokenizer.apply_chat_template(turns, tokenize=False)
        tokens = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
        learned = [begin >= len(before) and end > begin for begin, end in tokens["offset_mapping"]]
        last_stop = max(i for i, token in enumerate(tokens["input_ids"]) if token == tokenizer.eos_token_id)
        learned = [is_learned and i <= last_stop for i, is_learned in enumerate(learned)]
        encoded.append((tokens["input_ids"], learned))

    # 3. a low-rank pair at every linear layer but the head; B is zero, so the model starts as the base
    pairs = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and name != "lm_head":
            told = hashlib.sha256(f"{SEED}:{name}".encode()).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(told[:8], "little") >> 1)
            bound = module.in_features**-0.5
            a_RI = torch.empty(RANK, module.in_features).uniform_(-bound, bound, generator=generator).requires_grad_()
            b_OR = torch.zeros(module.out_features, RANK).requires_grad_()
            module.register_forward_hook(
                lambda _, inputs, output, a_RI=a_RI, b_OR=b_OR: output + ALPHA / RANK * inputs[0] @ a_RI.T @ b_OR.T
            )
            pairs += [a_RI, b_OR]
    optimizer = torch.optim.AdamW(pairs, lr=RATE, weight_decay=0.0)

    # 4. steps: shuffle once per epoch, pad on the right, sum the loss over learned tokens, clip, update
    order: list[int] = []
    losses = []
    for step in range(STEPS):
        while len(order) < (step + 1) * RECORDS_A_STEP:
            epoch = list(range(len(encoded)))
            random.Random(f"{SEED}:{len(order) // len(encoded)}").shuffle(epoch)
            order += epoch
        chosen = [encoded[i] for i in order[step * RECORDS_A_STEP : (step + 1) * RECORDS_A_STEP]]
        longest = max(len(tokens) for tokens, _ in chosen)
        tokens_BT = torch.tensor([tokens + [0] * (longest - len(tokens)) for tokens, _ in chosen])
        labels_BT = torch.tensor(
            [
                [token if is_learned else -100 for token, is_learned in zip(tokens, learned, strict=True)]
                + [-100] * (longest - len(tokens))
                for tokens, learned in chosen
            ]
        )
        logits_BTV = model(tokens_BT).logits
        loss = cross_entropy(logits_BTV[:, :-1].flatten(0, 1), labels_BT[:, 1:].flatten(), ignore_index=-100)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(pairs, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


if __name__ == "__main__":
    for step, loss in enumerate(flat_lora(*sys.argv[1:3]), 1):
        print(f"step {step}: {loss:.4f} nats per learned token")
