"""Recurrent networks and attention by hand. The map, in reading order:

    layers       sigmoid, softmax, linear, embedding, cross-entropy
    rnn          the vanilla RNN: one cell, then the whole sequence
    lstm         the LSTM: the same two, with gates
    gru          the GRU: the same two, with fewer gates
    attention    scores, masked softmax, context: dot, additive, multi-head
    transformer  layer normalization, feed-forward block, positional encodings, and the block of them
    seq2seq      encoder, decoder, greedy and beam search
    minimal      the minimal GRU and LSTM as a scan (lesson 09)
    train        first weights, gradient clipping, Adam, one plain loop
    gradcheck    is a backward right? finite differences
    checks       the error messages of the functions above

    data         the tasks of the lessons, each drawn from an rng
    network      one recurrent layer and one that reads it: the network of the experiments
    jacobian     how a small change of a state travels through the steps (lesson 03)
    probes       what is in a gate, a state, a memory: measured (lessons 05 and 06)
    reader       a network that reads text, character by character (lesson 10)
    counts       the same by counting what followed
    cells        does a single cell follow something? compared with random directions
    experiments  runs over many seeds: do, save, load, intervals
    torch_ref    PyTorch as the witness (the only module of the lessons that imports torch)
    plots        the figures of the lessons (the only module that imports matplotlib)
    widgets      live figures: hands on the gates, gradients by lag, attention word by word

    practice     predictions, exercises, known mistakes, progress
    grading      `lstmcourse grade`: notebooks graded in a sandbox, for instructors
    cli          the `lstmcourse` command
    bench        speed, side by side with torch.nn

Every `..._forward` has its `..._backward` beside it. Arrays are (B, T, D): batch, time, width.
Parameters are dicts with PyTorch's names and shapes. Nothing is imported here, so that
`import lstmcourse` costs nothing.
"""
