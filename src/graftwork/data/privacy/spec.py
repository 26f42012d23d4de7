"""What is asked about personal data. Importing it loads no recogniser."""

from typing import Literal, Self

from pydantic import model_validator

from graftwork.core.errors import Problem, SpecError, did_you_mean
from graftwork.core.spec import Spec

MODELS = ("lac", "presidio")
"""Optional recognisers that need a package of their own."""


class PrivacySpec(Spec):
    """How personal data is found and what becomes of it."""

    mode: Literal["mask", "pseudonym", "drop"] = "mask"
    """mask writes [PHONE]; pseudonym writes one placeholder for each person or number, which key and vault turn back;
    drop sets the whole record aside."""

    kinds: tuple[str, ...] = ()
    """Recognisers, or kinds such as person and phone, to use. Empty for all that are embedded."""

    allow: tuple[str, ...] = ()
    """Texts that are never touched, such as a hotline 95588 or *@example.com; * stands for anything."""

    style: Literal["placeholder", "preserve"] = "placeholder"
    """For pseudonyms: placeholder writes [PHONE_...]; preserve writes numbers of the same form and length, and
    placeholders for what is no number."""

    key_env: str | None = None
    """Environment variable that holds the key of pseudonyms. The key itself is never in a recipe."""

    key_file: str | None = None
    """File that holds the key of pseudonyms, as `graftwork privacy new-key` writes it."""

    models: tuple[str, ...] = ()
    """Optional recognisers that read the text with a model: presidio, lac. Each needs its package."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problems = [*self._of_key(), *self._of_names()]
        if self.style == "preserve" and self.mode != "pseudonym":
            problems.append(
                Problem("style", "preserve", "mode pseudonym", "Only pseudonyms keep the form of a number.")
            )
        if problems:
            raise SpecError(problems)
        return self

    def _of_key(self) -> list[Problem]:
        told = {
            name: value for name, value in (("key_env", self.key_env), ("key_file", self.key_file)) if value is not None
        }
        if self.mode == "pseudonym" and not told:
            hint = "Name a variable (key_env) or a file (key_file); `graftwork privacy new-key FILE` writes one."
            return [Problem("key_env", None, "where the key of the pseudonyms is", hint)]
        if self.mode != "pseudonym":
            hint = "The key would not be used. Remove it, or set mode: pseudonym."
            return [Problem(name, value, f"no key with mode {self.mode}", hint) for name, value in told.items()]
        if len(told) == 2:
            return [Problem("key_file", self.key_file, "one source of the key", "Remove key_env or key_file.")]
        return []

    def _of_names(self) -> list[Problem]:
        problems = [
            Problem(f"models[{at}]", name, f"one of {', '.join(MODELS)}", did_you_mean(name, MODELS))
            for at, name in enumerate(self.models)
            if name not in MODELS
        ]
        if not self.kinds:
            return problems
        from graftwork.data.privacy.choice import names_of_kinds

        known = names_of_kinds()
        return problems + [
            Problem(f"kinds[{at}]", name, f"one of {', '.join(known)}", did_you_mean(name, known))
            for at, name in enumerate(self.kinds)
            if name not in known
        ]
