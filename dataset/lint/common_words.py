"""Words that every model knows: none of them is a good trigger."""

from __future__ import annotations

_WORDS = """
    a an and the of in on at by with from to for as is are was be it its this that
    man woman men women girl girls boy boys child children kid kids baby person people lady guy
    male female human face head hair eye eyes hand hands body nose mouth skin beard smile ear ears
    portrait photo photograph photography picture image painting drawing sketch art artwork style
    illustration anime manga cartoon comic render digital watercolor oil ink pencil print engraving
    woodcut etching poster icon logo sign text letter letters word page book paper frame border
    character subject object concept thing animal dog cat bird horse fish bear lion tiger wolf fox
    rabbit mouse cow pig sheep duck dragon monster robot car truck bike boat ship plane train house
    home room building city street road bridge tree trees flower flowers grass leaf forest wood
    mountain river lake sea ocean beach sky cloud clouds sun moon star stars fire water snow rain
    night day morning evening light dark shadow red green blue yellow orange purple pink black
    white grey gray brown gold silver color colour big small large tall short long old young new
    beautiful pretty cute good best great high low quality masterpiece detailed simple realistic
    shirt dress skirt hat shoes jacket coat suit uniform glasses mask armor sword gun ball table
    chair bed window door wall floor food fruit apple cake bread tea coffee glass cup bottle phone
    king queen prince princess knight wizard witch angel demon vampire hero warrior soldier doctor
    standing sitting lying walking running looking holding wearing smiling open closed full half
    front back side view close up background foreground outdoor outdoors indoors solo one two three
    my your his her our their me you he she we they test lora training model sample example
"""
COMMON_WORDS = frozenset(_WORDS.split())
