"""At which strength a picture's subject falls apart, found with few pictures.

``subject`` says how much of a subject is left in a picture, ``planner`` which strengths to draw
next, ``shape`` measures the curve, ``finding`` says what it means, ``plot``, ``strip`` and
``safe_map`` show it. Everything is numpy and Pillow; the pictures are drawn by the host.
"""
