"""What the lessons and trials measure with. None of it is needed to read the core.

    models         one recurrent layer and a linear layer that reads it: the model of the trials
    char_lm        a character-level language model: train, evaluate, sample (lesson 10)
    ngram          an n-gram language model with Witten-Bell smoothing, its baseline
    probing        does a unit, or a linear probe, follow a label?
    interventions  clamped gates: what changes when a gate is held
    transformer_lm a small causal Transformer
    translation    lesson 08's translator: train, translate, move where it looks
    forecasting    one series: CSV, windows, simple forecasts, errors by horizon, the next steps
    torch_training the PyTorch loop of lessons 11 to 13: validation set, early stopping
    checkup        what is wrong with this PyTorch model and this batch?
    gradients      gradient norms and Jacobian norms by lag
    alignment      alignment error rate against gold links
    trials         runs over many seeds: do, save, load, intervals, verdicts
    trial_pages    the pages of notebooks/trials/ and their index
"""
