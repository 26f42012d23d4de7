"""What stands before and after capitalised words in English, and whether it is what surrounds a person."""

import re

from graftwork.data.privacy.lists import word_set

LABEL = re.compile(
    r"(?:^|[\s,;|(\"'_])(?:(?:patient|client|customer|contact|applicant|beneficiary|account holder|card ?holder"
    r"|policy ?holder|insured|physician|attending|doctor|employee|tenant|landlord|signed|signed by|attn|adjuster"
    r"|attention|from|to|b?cc|author|agent|manager|supervisor|witness|buyer|seller|borrower|lender|guarantor"
    r"|next of kin|spouse|mother|father|parent|guardian|plaintiff|defendant|claimant|respondent|payee|payer"
    r"|sender|recipient"
    r"|owner|member|student|pupil|teacher|nurse|provider|(?:referred|reviewed|prepared|approved|reported|reports|assigned"
    r"|seen|checked|submitted|requested|ordered|collected|delivered) (?:by|to)|caller|user|driver|passenger|before"
    r"|guest|surgeon|candidate|interviewer|subject|complainant|full|first|last|given|family|middle|maiden|legal"
    r"|billing|shipping|display)(?:'s)?(?:[ _-]?name)?|names?|sur ?name|fore ?name|user_?name|contact person)[\"']?"
    r"\s?[:=]\s{0,3}[\"']?$",
    re.I,
)
SURE = re.compile(
    r"(?:\bname(?:'s| is|d| of)|\bcall(?:ed)? me|\b(?:speak|speaking|spoke) (?:to|with)|\bask for|\bthis is"
    r"|\b[Mm]y (?:wife|husband|son|daughter|mother|father|brother|sister|colleague|friend|boss|lawyer|partner"
    r"|doctor|boyfriend|girlfriend|mom|mum|dad),?(?: is|'s name is)?"
    r"|(?:[Rr]egards|[Ss]incerely|[Tt]hanks|[Cc]heers|[Yy]ours(?: truly| faithfully| sincerely)?|[Ww]ishes"
    r"|[Rr]espectfully|[Dd]ear|[Bb]est|[Ll]ove),?)\s{1,3}(?:- ?)?$"
)
SURE_ENDS = word_set("person_en.txt", "last words of what announces a name")
LIKELY = word_set("person_en.txt", "words before a person or a thing")
PERSONAL = word_set("person_en.txt", "words before a person")
KIN_OF = word_set("person_en.txt", "words with of before a person")
LIKELY_SIGNS = '\n:,;("|.)'
ACTS = re.compile(
    r"(?:'s)?(?:,? (?:was|is|has|had|said|says|told|signed|appeared|underwent|reported|called|calling|will|who"
    r"|whose|agreed|wrote|asked|residing|born|stated|explained|noted|and|both|for|on|yesterday|today|last|about"
    r"|at|did|does|from|died|lives|works|joined|paid|received|requested|should|goes|comes|needs|wants|takes|gives|went|came|can|must|would|could|[a-z]{2,}ed)\b"
    r"| ?[(<|\t]| [-–—] ?[+(0-9]|, ?(?:\+|[0-9(]|age|aged|M\.?D\b|residing|born)|[.,;!?\n\"]|$)"
)
PERSONALLY = re.compile(
    r",? (?:said|says|told|signed|lives|lived|called|wrote|asked|agreed|joined|founded|scored|won|announced"
    r"|testified|complained|moved|married|resigned|who|whose)\b|, (?:who|aged|age)\b| <[^<>\s]+@"
    r"|'s (?:account|name|wife|husband|mother|father|card|loan|address)\b"
)
WRITER = re.compile(r"[\"']? ?<[^<>\s]+@")
THING = re.compile(
    r"(?:'s?)?[ -](?:disease|syndrome|disorder|tests?|method|score|scale|index|regression|model|correlation"
    r"|coefficient|distribution|classification|sign|anomaly|an[a]?emia|thyroiditis|palsy|lymphoma|sarcoma"
    r"|tumou?r|cells?|body|bodies|crisis|coma|terrier|jar"
    r"|staging|stain|reaction|law|effect|equation|theorem|algorithm|analysis|procedure|operation|catheter|tube"
    r"|esophagus|phenomenon|contracture|chorea|ataxia|dystrophy|malformation|fracture|muscle|node|gland|duct"
    r"|patch|curve|plot|ratio|rank|trial|study|prize|award|university|sequencing"
    r"|hospital|college|school|institute|clinic|cent(?:er|re)|foundation|street|road|avenue|county|city|island"
    r"|river|bank|inc|ltd|llc|corp|company|group|fund|t-test|u test|exact|chi|hypothesis|inventory"
    r"|questionnaire|protocol|technique|approach|type)s?(?![A-Za-z])"
    r"|(?:'s?)?[ -](?:criteri|estimat)"
)
FIRM = re.compile(
    r" (?:Disease|Syndrome|Disorder|Test|Score|Scale|Index|Law|Effect|University|Hospital|College|School"
    r"|Institute|Clinic|Center|Centre|Foundation|Street|St|Road|Rd|Avenue|Ave|Drive|Lane|Blvd|County|City"
    r"|Island|River|Bank|Inc|Ltd|LLC|Corp|Company|Group|Fund|Award|Prize|Airport|Park|Hotel|Church|Bridge"
    r"|Stadium|Museum|Day|Study|&)\b"
)
NAMED_AFTER = re.compile(
    r"(?:'s)? (?:[a-z]+(?:al|ic|ous|oid)) [a-z]|(?:'s)?(?: [a-z]+){1,2} (?:syndrome|disease|sign|anomaly|tumou?r)\b"
)
"""After a given name by itself: an adjective of science, or an illness further on."""

OF_BODY = re.compile(
    r"\b(?:circle|canal|ligament|angle|bundle|loop|pouch|space|nodes?|sinus|foramen|artery|vein|ring|duct|crypts?"
    r"|islets?|ampulla|sphincter|fossa|line|sign|law|tetralogy|triad|cave|organ|valves?|triangle|membrane) of $"
    r"|\b(?:St|Saint|San|Santa|Fort|Mount|Lake|Port|Marks (?:and|&)|Trader)\.? $"
)
LAST_WORD = re.compile(r"[A-Za-z']*$")


def is_announced(before: str) -> bool:
    """Whether a label such as "Patient:" or "name=" leads to what comes next."""
    return before.rstrip(" \t\n\"'")[-1:] in (":", "=") and LABEL.search(before) is not None


def is_sure(before: str) -> bool:
    """Whether only a name is likely to come next: "my name is", "Regards,"."""
    last = _last_word(before.rstrip("- \n").rstrip(","))
    return last in SURE_ENDS and SURE.search(before) is not None


def is_likely(before: str, after: str) -> bool:
    """Whether what stands before and after surrounds persons, if things as well."""
    bare = before.rstrip()
    if not bare and not after.strip():
        return False
    is_led = not bare or bare[-1] in LIKELY_SIGNS or before[-1:] == "\n" or _last_word(bare) in LIKELY
    return is_led and ACTS.match(after) is not None


def is_personal(before: str, after: str) -> bool:
    """Whether what stands before or after surrounds persons only."""
    bare = before.rstrip()
    last = _last_word(bare)
    if last in PERSONAL or (last == "of" and _last_word(bare[:-2].rstrip()) in KIN_OF):
        return True
    return PERSONALLY.match(after) is not None


def _last_word(text: str) -> str:
    found = LAST_WORD.search(text[-14:])
    return found.group().lower() if found else ""
