"""Tags that say who somebody is, and not what is seen in this one picture.

For a character, what the captions say is learned by those words, and what they leave out is learned
by the trigger. So what always belongs to the person is left out: hair and eye colour, length of the
hair, shape of the body, marks of the face. Clothes, pose, expression and place are not identity:
they differ, and shall stay promptable.

The list is of words and not of tags, so that ``very long wavy blonde hair`` is found too. It is for
tags of up to five words; sentences are left alone.
"""

from __future__ import annotations

import re

from .tags import same_tag

_COLOUR = (
    r"(?:(?:light|dark|pale|bright|deep|multicolored|two-tone|gradient|streaked|dyed|natural)[ -])*"
    r"(?:black|brown|blonde|blond|brunette|red|ginger|auburn|orange|yellow|green|blue|aqua|teal|"
    r"cyan|purple|violet|pink|white|grey|gray|silver|gold|golden|platinum|hazel|amber|turquoise|"
    r"lavender|multicolored|two-tone|gradient|streaked|rainbow|colored)"
)
_HAIR = (
    r"(?:(?:very|absurdly|extremely|shoulder-length|medium|long|short|big|curly|wavy|straight|"
    r"messy|spiky|frizzy|thick|thin|fine|coarse|hair)[ -]?)*"
)
IDENTITY = {
    "hair": rf"{_HAIR} ?(?:{_COLOUR} )?{_HAIR} ?(?:hair|bangs|sidelocks|ahoge|afro|bob cut|"
    r"pixie cut|buzz cut|mohawk|dreadlocks|hime cut|widow's peak|bald|redhead|blonde|brunette)",
    "eyes": rf"(?:{_COLOUR} |narrow |big |large |small |almond-shaped |heterochromia )*"
    r"(?:eyes|eye color|heterochromia|tsurime|tareme|pupils|slit pupils|eyelashes|"
    r"long eyelashes)",
    "brows": rf"(?:thick|thin|bushy|{_COLOUR})? ?eyebrows",
    "skin": r"(?:pale|fair|light|dark|tan|tanned|olive|brown|black|white|dark-skinned|freckled)? ?"
    r"(?:skin|freckles|dark-skinned (?:female|male)|tan|tanlines)",
    "face": r"(?:(?:round|oval|square|long|heart-shaped|thin) face|high cheekbones|dimples|"
    r"(?:big|small|large|long|pointed|hooked|button) nose|(?:full|thin|thick) lips|"
    r"(?:square|strong) jaw|(?:mole|moles|beauty mark|scar|birthmark)(?: \w+){0,3}|"
    r"facial hair|beard|mustache|moustache|goatee|stubble|sideburns|(?:pointy|animal|elf|cat|fox|"
    r"dog|wolf|rabbit) ears|fangs?|horns?)",
    "body": r"(?:(?:small|medium|large|huge|flat|gigantic) (?:breasts|chest)|flat chest|breasts|"
    r"(?:muscular|slim|slender|skinny|thin|petite|chubby|fat|plump|curvy|tall|short|stocky|toned|"
    r"athletic)(?: (?:female|male|body|build|figure|man|woman|girl|boy))?|wide hips|"
    r"(?:cat|fox|dog|wolf|demon|dragon) tail|tail|wings)",
    "age": r"(?:young|old|elderly|middle-aged|teenage|aged|mature)(?: (?:female|male|man|woman|"
    r"girl|boy|adult|person))?",
}
"""A pattern of whole tags for each kind, in lower case with spaces."""
_ANY = re.compile("|".join(f"(?:{pattern})" for pattern in IDENTITY.values()))
_LONGEST_WORDS = 5


def is_identity(tag: str) -> bool:
    """Whether a tag names something that always belongs to a person."""
    key = same_tag(tag)
    return len(key.split()) <= _LONGEST_WORDS and bool(_ANY.fullmatch(key))
