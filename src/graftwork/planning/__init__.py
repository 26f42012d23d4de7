"""Will it fit, how long, what will it cost, which rank: pure functions of shapes; no torch, disk, clock or random."""
