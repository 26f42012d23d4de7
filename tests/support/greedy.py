"""Answers the slow way, to compare with."""

import torch


def naive(bank, prompt, row, max_new_tokens):
    """Greedy, a whole forward pass for every token."""
    chat = bank.base.chat
    tokens = chat.prompt(prompt)
    start = len(tokens)
    with torch.no_grad(), bank.route([row]):
        for _ in range(max_new_tokens):
            tokens.append(int(bank.base.model(input_ids=torch.tensor([tokens])).logits[0, -1].argmax()))
            if tokens[-1] in chat.stop_ids:
                break
    return chat.tokenizer.decode(tokens[start:], skip_special_tokens=True).strip()
