"""Objects that are found, not prompted: candidates on key frames, and the rules that turn them into lasting tracks.

Everything here works on masks, boxes and numbers; it knows no model and no video. `masklet.tracking` runs it.
"""

from masklet.discovery.candidates import Candidate, CandidateSource

__all__ = ["Candidate", "CandidateSource"]
