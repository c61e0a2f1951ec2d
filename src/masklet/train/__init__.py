"""Training on images and clips. `recipes` has the configurations, `loop` the run, `steps` one step and its loss.

`data`, `clips`, `scene` and `augment` make samples; `prompts` imitates a user; `validation`, `record`, `card` and
`pictures` report how good a run is; `adapters`, `parameters` and `distillation` change what learns, and from what.
"""
