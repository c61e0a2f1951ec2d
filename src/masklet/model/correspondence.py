"""Matching of remembered pixels with the current frame: an optional addition to SAM 2's memory that nano uses.

Memory attention of a small model, trained for hours instead of weeks, follows objectness more than identity. Matching
the trunk's own features between frames needs hardly any training and carries the mask of look-alikes apart
(docs/lab-notes.md). So a memory also keeps the features of its frame as keys and the object's mask as values; each
cell of the present frame looks up its nearest keys and reads their mask. Three such heads differ in which memories they
trust (all, the prompted, the most recent) and in how far they look; what they read is offered to the mask decoder as a
map, as a hint that it can overrule.

Related: STM and STCN (Oh 2019, Cheng 2021), which have no other memory than this.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from masklet.model.config import CorrespondenceConfig
from masklet.model.position_encoding import cell_centres

_HEADS = 3
_MAX_SLOTS = 16


class Correspondence(nn.Module):
    """Keys of a frame, and the hint (N, D, h, w) that memories give for it."""

    def __init__(self, config: CorrespondenceConfig, trunk_dim: int, embed_dim: int) -> None:
        super().__init__()
        self.key_project = nn.Conv2d(trunk_dim, config.key_dim, 1)
        self.log_temperature = nn.Parameter(torch.full((_HEADS,), config.temperature).log())
        slot_bias = torch.zeros(_HEADS, _MAX_SLOTS)
        slot_bias[1, 1:] = -4.0  # the second head reads prompted memories, in slot 0
        slot_bias[2, 0] = slot_bias[2, 2:] = -3.0  # the third the most recent one, in slot 1
        self.slot_bias = nn.Parameter(slot_bias)
        self.distance_weight = nn.Parameter(torch.tensor([0.0, 0.0, 10.0]))
        """Penalty per squared distance in image sides."""
        self.expand = nn.Conv2d(_HEADS + 1, embed_dim // 2, 1)
        self.project = nn.Conv2d(embed_dim // 2, embed_dim, 1)

    def keys(self, trunk_16: Tensor) -> Tensor:
        """(B, ., h, w) trunk features to (B, key_dim, h, w) of unit length."""
        return F.normalize(self.key_project(trunk_16), dim=1)

    def forward(
        self,
        keys: Tensor,
        memory_keys: Tensor,
        memory_masks: Tensor,
        slots: Tensor,
    ) -> Tensor:
        """Read the masks of remembered frames at the cells of B present frames, for G objects of each.

        Objects of one frame differ in their masks and slots only, so the weights within a remembered frame are
        computed once for all of them, and each object weighs the frames against each other.

        Args:
            keys: (B, key_dim, h, w) of the present frames.
            memory_keys: (B, F, key_dim, h, w) of remembered frames.
            memory_masks: (B, G, F, h, w) in [0, 1].
            slots: (B, G, F) as in `Recall.spatial`; -1 where an object does not read a frame. Each reads at least one.

        Returns:
            (B * G, heads + 1, h, w), the input of `hint`: what each head reads, in [-1, 1], and whether there is
            anything like this cell in the memories at all.
        """
        cells = cell_centres(keys.shape[-2], keys.shape[-1], keys.device).reshape(-1, 2).to(keys.dtype)  # (h*w, 2)
        queries = keys.flatten(2).mT[:, None]  # (B, 1, h*w, K)
        remembered = memory_keys.flatten(3).mT  # (B, F, h*w, K)
        masks = memory_masks.flatten(3).permute(0, 2, 3, 1)  # (B, F, h*w, G)
        readings, similarities = [], []
        for head in range(_HEADS):
            scores = self._scores(head, queries, remembered, cells).float()  # (B, F, h*w, h*w)
            within = torch.softmax(scores, dim=-1)
            # The log of the sum that this softmax divides by: its largest weight is exp(largest score) over the sum.
            total = scores.amax(-1) - within.amax(-1).log()  # (B, F, h*w)
            across = self._across(head, total, slots).to(masks.dtype)  # (B, F, h*w, G)
            within = within.to(masks.dtype)
            readings.append(((within @ masks) * across).sum(1) * 2 - 1)  # (B, h*w, G)
            if head == 0:
                alike = (queries * (within @ remembered)).sum(-1, keepdim=True)  # (B, F, h*w, 1)
                similarities.append((alike * across).sum(1))
        maps = torch.stack((*readings, *similarities), dim=-1).permute(0, 2, 3, 1)  # (B, G, heads + 1, h*w)
        return torch.unflatten(maps.flatten(0, 1), -1, keys.shape[-2:])

    def hint(self, maps: Tensor) -> Tensor:
        """Return the hint (N, D, h, w) of maps from `forward`."""
        return self.project(F.relu(self.expand(maps.to(self.expand.weight.dtype))))  # type: ignore[no-any-return]

    def _scores(self, head: int, queries: Tensor, remembered: Tensor, cells: Tensor) -> Tensor:
        """(B, F, h*w, h*w): similarity / temperature - penalty of the distance.

        Both are one product of longer vectors: since softmax does not see what is the same for all keys,
        -w |p - p'|^2 is 2 w p.p' - w |p'|^2. That holds across frames, too, whose grids are the same.
        """
        weight = self.distance_weight[head].to(queries.dtype)
        query_terms = torch.cat((torch.ones_like(cells[:, :1]), 2 * weight * cells), dim=-1)
        key_terms = torch.cat((-weight * (cells**2).sum(-1, keepdim=True), cells), dim=-1)
        scaled = queries / self.log_temperature[head].exp()
        queries = torch.cat((scaled, query_terms.expand(*queries.shape[:2], -1, -1).to(scaled.dtype)), dim=-1)
        keys = torch.cat((remembered, key_terms.expand(*remembered.shape[:2], -1, -1).to(remembered.dtype)), dim=-1)
        return queries @ keys.mT

    def _across(self, head: int, total: Tensor, slots: Tensor) -> Tensor:
        """Return the weight of each frame at each cell for each object, (B, F, h*w, G), summing to 1 over frames.

        Args:
            head: index of the head.
            total: (B, F, h*w) log of the sum of exponentials of a frame's scores.
            slots: (B, G, F).
        """
        bias = self.slot_bias[head][slots.clamp(min=0)].float()
        bias = torch.where(slots < 0, -torch.inf, bias).permute(0, 2, 1)  # (B, F, G)
        return torch.softmax(total[..., None] + bias[:, :, None], dim=1)

    @torch.no_grad()
    def calibrate(self, trunk_16: Tensor) -> None:
        """Start as an orthogonal projection of the standardised trunk channels: it keeps their similarities."""
        mean = trunk_16.float().mean((0, 2, 3))
        deviation = trunk_16.float().std((0, 2, 3)).clamp(min=1e-3)
        weight = self.key_project.weight
        projection = torch.empty(weight.shape[0], weight.shape[1])
        nn.init.orthogonal_(projection)
        weight.copy_((projection / deviation)[:, :, None, None])
        self.key_project.bias.copy_(-(weight[:, :, 0, 0] @ mean))  # type: ignore[union-attr]
