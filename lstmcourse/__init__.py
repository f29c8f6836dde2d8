"""Recurrent networks and attention by hand. The files at the top are the core, in reading order:

    layers       sigmoid, softmax, linear, embedding, cross-entropy
    rnn          the vanilla RNN: one cell, then the whole sequence
    lstm         the LSTM: the same two, with gates
    gru          the GRU: the same two, with fewer gates
    recurrent    these three in one table, for code that takes any of them
    attention    scores, masked softmax, context: dot, additive, multi-head
    transformer  layer normalization, feed-forward block, positional encodings, and the block of them
    seq2seq      encoder, decoder, greedy decoding and beam search
    min_rnn      the minimal GRU and LSTM, step by step and as a parallel scan (lesson 09)
    train        initial weights, gradient clipping, Adam, one plain loop
    gradcheck    is a backward pass right? finite differences
    validation   the error messages of the functions above
    torch_ref    PyTorch as the reference implementation (the only module of the core that imports torch)

The folders are the tools around it; the core imports none of them:

    data         the tasks of the lessons, each drawn from an rng
    lab          what lessons and trials measure with: models, probes, interventions, gradients by lag
    plots        the figures of the lessons (the only place that imports matplotlib)
    widgets      live figures: gates to clamp, gradients by lag, attention word by word
    practice     predictions, exercises, known mistakes, progress
    grading      `lstmcourse grade`: notebooks graded in a sandbox, for instructors

    cli          the `lstmcourse` command
    bench        speed, side by side with torch.nn

Imports point one way: the core imports no folder (`python tests/test_house.py` prints the arrows).
Every `..._forward` has its `..._backward` beside it. Arrays are (B, T, D): batch, time, width.
Parameters are dicts with PyTorch's names and shapes. Nothing is imported here, so that
`import lstmcourse` costs nothing.
"""
