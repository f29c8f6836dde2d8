"""Recurrent networks and attention by hand. The map, in reading order:

    layers       sigmoid, softmax, linear, embedding, cross-entropy
    rnn          the vanilla RNN: one cell, then the whole sequence
    lstm         the LSTM: the same two, with gates
    gru          the GRU: the same two, with fewer gates
    train        first weights, gradient clipping, Adam, one plain loop
    data         the tasks of the lessons, each drawn from an rng
    gradcheck    is a backward right? finite differences
    checks       the error messages of the functions above
    torch_ref    PyTorch as the witness (the only module that imports torch)
    plots        the figures of the lessons (the only module that imports matplotlib)
    practice     predictions: compare your guess with the result
    grading      `lstmcourse grade`: notebooks graded in a sandbox, for instructors
    bench        speed, side by side with torch.nn

Every `..._forward` has its `..._backward` beside it. Arrays are (B, T, D): batch, time, width.
Parameters are dicts with PyTorch's names and shapes. Nothing is imported here, so that
`import lstmcourse` costs nothing.
"""
