"""Official `sam2.utils`: what scripts import of it, for masks, boxes, frames and images."""
