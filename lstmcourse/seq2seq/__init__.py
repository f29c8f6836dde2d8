"""From one sentence to another, in reading order:

    encoder    reads the source once: one state per word, and the final one
    decoder    writes the target from them, one word after the other, with attention or without
    model      which parts a model has, their initial weights, its loss and all gradients
    search     the trained model writes: greedily, or with a beam
"""

from lstmcourse.seq2seq.decoder import Memory, decoder_backward, decoder_forward
from lstmcourse.seq2seq.encoder import encoder_backward, encoder_forward, last_states, reverse_sequences
from lstmcourse.seq2seq.model import Model, init_seq2seq, loss_and_grads, read_source, shift_right
from lstmcourse.seq2seq.search import beam_search, greedy

__all__ = ["Memory", "Model", "beam_search", "decoder_backward", "decoder_forward", "encoder_backward",
           "encoder_forward", "greedy", "init_seq2seq", "last_states", "loss_and_grads", "read_source",
           "reverse_sequences", "shift_right"]
