"""Models in the styles of public tutorials and of people's own code, sound and broken, for `checkup`'s tests.

Each function gives a model, a batch, a loss, and options; a broken one says the cause that is to be named. The first
five are tutorials as they stand: names (old and new), translation with attention, the LSTM language model, the tagger.
"""

import math
import random
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

SOUND, BROKEN = {}, {}


def sound(make):
    SOUND[make.__name__] = make
    return make


def broken(cause):
    def add(make):
        BROKEN[make.__name__] = make, cause
        return make

    return add


def ragged(B, T, V, low=1):
    n = torch.randint(3, T + 1, (B,))
    n[0] = T
    return torch.randint(low, V, (B, T)) * (torch.arange(T) < n[:, None]), n


class CharRNN(nn.Module):
    def __init__(self, i, h, o):
        super().__init__()
        self.rnn = nn.RNN(i, h)
        self.h2o = nn.Linear(h, o)
        self.softmax = nn.LogSoftmax(dim=1)

    def forward(self, line):
        out, hidden = self.rnn(line)
        return self.softmax(self.h2o(hidden[0]))


@sound
def names_new():
    x = F.one_hot(torch.randint(0, 57, (6, 1)), 57).float()
    return CharRNN(57, 128, 18), (x, torch.tensor([4])), nn.NLLLoss()


class OldCharRNN(nn.Module):
    def __init__(self, i, h, o):
        super().__init__()
        self.hs = h
        self.i2h = nn.Linear(i + h, h)
        self.i2o = nn.Linear(i + h, o)
        self.softmax = nn.LogSoftmax(dim=1)

    def forward(self, x, hidden):
        c = torch.cat((x, hidden), 1)
        return self.softmax(self.i2o(c)), self.i2h(c)


@sound
def names_old():
    m = OldCharRNN(57, 128, 18)

    def call(m, line):
        h = torch.zeros(1, m.hs)
        for t in range(line.size(0)):
            out, h = m(line[t], h)
        return out

    return m, (F.one_hot(torch.randint(0, 57, (6, 1)), 57).float(), torch.tensor([4])), nn.NLLLoss(), {"call": call}


class EncoderRNN(nn.Module):
    def __init__(self, v, h, p=0.1):
        super().__init__()
        self.embedding = nn.Embedding(v, h)
        self.gru = nn.GRU(h, h, batch_first=True)
        self.dropout = nn.Dropout(p)

    def forward(self, x):
        return self.gru(self.dropout(self.embedding(x)))


class Bahdanau(nn.Module):
    def __init__(self, h):
        super().__init__()
        self.Wa = nn.Linear(h, h)
        self.Ua = nn.Linear(h, h)
        self.Va = nn.Linear(h, 1)

    def forward(self, q, k):
        sc = self.Va(torch.tanh(self.Wa(q) + self.Ua(k))).squeeze(2).unsqueeze(1)
        w = F.softmax(sc, dim=-1)
        return torch.bmm(w, k), w


class AttnDecoder(nn.Module):
    def __init__(self, h, v, p=0.1):
        super().__init__()
        self.embedding = nn.Embedding(v, h)
        self.attention = Bahdanau(h)
        self.gru = nn.GRU(2 * h, h, batch_first=True)
        self.out = nn.Linear(h, v)
        self.dropout = nn.Dropout(p)

    def forward(self, enc, hidden, target=None):
        B = enc.size(0)
        inp = torch.zeros(B, 1, dtype=torch.long)
        outs, atts = [], []
        for i in range(10):
            e = self.dropout(self.embedding(inp))
            ctx, a = self.attention(hidden.permute(1, 0, 2), enc)
            o, hidden = self.gru(torch.cat((e, ctx), 2), hidden)
            o = self.out(o)
            outs.append(o)
            atts.append(a)
            inp = target[:, i].unsqueeze(1) if target is not None else o.topk(1)[1].squeeze(-1).detach()
        return F.log_softmax(torch.cat(outs, 1), dim=-1), hidden, torch.cat(atts, 1)


class Seq2Seq(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = EncoderRNN(60, 32)
        self.decoder = AttnDecoder(32, 70)

    def forward(self, src, tgt):
        o, h = self.encoder(src)
        return self.decoder(o, h, tgt)


@sound
def seq2seq_teacher_forced():
    y = torch.randint(2, 70, (8, 10))

    def loss(out, t):
        return nn.NLLLoss()(out[0].view(-1, out[0].size(-1)), t.view(-1))

    return Seq2Seq(), (torch.randint(2, 60, (8, 10)), y, y), loss  # feeds target[:, i] AFTER output i: sound


class RNNModel(nn.Module):
    def __init__(self, ntoken=80, ninp=24, nhid=24, nlayers=2, p=0.5, tie=True):
        super().__init__()
        self.drop = nn.Dropout(p)
        self.encoder = nn.Embedding(ntoken, ninp)
        self.rnn = nn.LSTM(ninp, nhid, nlayers, dropout=p)
        self.decoder = nn.Linear(nhid, ntoken)
        self.ntoken = ntoken
        if tie:
            self.decoder.weight = self.encoder.weight
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)
        nn.init.uniform_(self.decoder.weight, -0.1, 0.1)
        self.nl, self.nh = nlayers, nhid

    def forward(self, x, hidden):
        out, hidden = self.rnn(self.drop(self.encoder(x)), hidden)
        d = self.decoder(self.drop(out)).view(-1, self.ntoken)
        return F.log_softmax(d, dim=1), hidden


@sound
def word_lm():
    d = torch.randint(0, 80, (36, 20))
    h = (torch.zeros(2, 20, 24), torch.zeros(2, 20, 24))
    return RNNModel(), ((d[:-1], h), d[1:].reshape(-1)), lambda o, y: nn.NLLLoss()(o[0], y)


class PE(nn.Module):
    def __init__(self, d, n=200):
        super().__init__()
        pe = torch.zeros(n, d)
        p = torch.arange(n).float().unsqueeze(1)
        k = torch.exp(torch.arange(0, d, 2).float() * (-math.log(10000.0) / d))
        pe[:, 0::2] = torch.sin(p * k)
        pe[:, 1::2] = torch.cos(p * k)
        self.register_buffer("pe", pe.unsqueeze(1))
        self.dropout = nn.Dropout(0.2)

    def forward(self, x):
        return self.dropout(x + self.pe[: x.size(0)])


class Translator(nn.Module):
    def __init__(self, d=32):
        super().__init__()
        self.se = nn.Embedding(50, d)
        self.te = nn.Embedding(60, d)
        self.pos = PE(d)
        self.tf = nn.Transformer(d, 2, 1, 1, 64, 0.1)
        self.out = nn.Linear(d, 60)

    def forward(self, src, tgt):
        tm = self.tf.generate_square_subsequent_mask(len(tgt))
        sp, tp = (src == 1).T, (tgt == 1).T
        return self.out(
            self.tf(
                self.pos(self.se(src)),
                self.pos(self.te(tgt)),
                tgt_mask=tm,
                src_key_padding_mask=sp,
                tgt_key_padding_mask=tp,
                memory_key_padding_mask=sp,
            )
        )


def sentences(n, V, lo=3, hi=9):
    return [
        torch.cat([torch.tensor([2]), torch.randint(4, V, (random.randint(lo, hi),)), torch.tensor([3])])
        for _ in range(n)
    ]


@sound
def nn_transformer_translation():
    src, tgt = pad_sequence(sentences(8, 50), padding_value=1), pad_sequence(sentences(8, 60), padding_value=1)
    return (
        Translator(),
        (src, tgt[:-1], tgt[1:]),
        lambda o, y: nn.CrossEntropyLoss(ignore_index=1)(o.reshape(-1, 60), y.reshape(-1)),
    )


class Encoder(nn.Module):
    def __init__(self, v=100, d=32, k=4):
        super().__init__()
        self.e = nn.Embedding(v, d, padding_idx=0)
        self.p = nn.Embedding(64, d)
        self.enc = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(d, 4, 64, batch_first=True, norm_first=True), 2, enable_nested_tensor=False
        )
        self.o = nn.Linear(d, k)

    def forward(self, input_ids, attention_mask):
        h = self.enc(
            self.e(input_ids) + self.p(torch.arange(input_ids.size(1))), src_key_padding_mask=attention_mask == 0
        )
        m = attention_mask.unsqueeze(-1).float()
        return self.o((h * m).sum(1) / m.sum(1))


@dataclass
class HFOut:
    loss: torch.Tensor = None
    logits: torch.Tensor = None


class HF(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = Encoder()

    def forward(self, input_ids=None, attention_mask=None, labels=None):
        z = self.body(input_ids, attention_mask)
        return HFOut(F.cross_entropy(z, labels) if labels is not None else None, z)


@sound
def huggingface_like():
    x, n = ragged(16, 12, 100)
    return HF(), {"input_ids": x, "attention_mask": (x != 0).long(), "labels": torch.randint(0, 4, (16,))}, None


class Sentiment(nn.Module):
    def __init__(self, v=200, e=20, h=16, p=0.5, pad=0):
        super().__init__()
        self.embedding = nn.Embedding(v, e, padding_idx=pad)
        self.rnn = nn.LSTM(e, h, num_layers=2, bidirectional=True, dropout=p)
        self.fc = nn.Linear(2 * h, 1)
        self.dropout = nn.Dropout(p)

    def forward(self, text, lens):
        e = self.dropout(self.embedding(text))
        pk = pack_padded_sequence(e, lens.to("cpu"), enforce_sorted=False)
        _, (h, c) = self.rnn(pk)
        return self.fc(self.dropout(torch.cat((h[-2], h[-1]), dim=1)))


@sound
def sentiment_time_first_packed():
    x, n = ragged(24, 15, 200)
    return (
        Sentiment(),
        ((x.T.contiguous(), n), torch.randint(0, 2, (24,)).float()),
        lambda o, y: nn.BCEWithLogitsLoss()(o.squeeze(1), y),
    )


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.word_embeddings = nn.Embedding(90, 16)
        self.lstm = nn.LSTM(16, 12, bidirectional=True, batch_first=True)
        self.hidden2tag = nn.Linear(24, 6)

    def forward(self, x, n):
        pk = pack_padded_sequence(self.word_embeddings(x), n, batch_first=True, enforce_sorted=False)
        h, _ = pad_packed_sequence(self.lstm(pk)[0], batch_first=True)
        return self.hidden2tag(h).permute(0, 2, 1)


@sound
def tagger_minus100():
    x, n = ragged(10, 13, 90)
    y = torch.randint(0, 6, (10, 13)).masked_fill(x == 0, -100)
    return Tagger(), (x, n, y), nn.CrossEntropyLoss()


class PlainTagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.e = nn.Embedding(9, 6)
        self.l = nn.LSTM(6, 6)
        self.t = nn.Linear(6, 3)

    def forward(self, sent):
        h, _ = self.l(self.e(sent).view(len(sent), 1, -1))
        return F.log_softmax(self.t(h.view(len(sent), -1)), dim=1)


@sound
def pos_tagger_one_sentence():  # the tutorial: one sentence without a batch
    return PlainTagger(), (torch.tensor([0, 1, 2, 3, 4]), torch.tensor([0, 1, 2, 0, 1])), nn.NLLLoss()


class BNNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.bn = nn.BatchNorm1d(6)
        self.l = nn.LSTM(6, 16, batch_first=True)
        self.b2 = nn.BatchNorm1d(16)
        self.o = nn.Linear(16, 4)

    def forward(self, x):
        x = self.bn(x.transpose(1, 2)).transpose(1, 2)
        return self.o(F.relu(self.b2(self.l(x)[0][:, -1])))


@sound
def batchnorm_features():
    return BNNet(), (torch.randn(20, 8, 6), torch.randint(0, 4, (20,))), nn.CrossEntropyLoss()


class LogSoftCE(nn.Module):
    def __init__(self):
        super().__init__()
        self.l = nn.LSTM(5, 12, batch_first=True)
        self.o = nn.Linear(12, 4)

    def forward(self, x):
        return F.log_softmax(self.o(self.l(x)[1][0][-1]), -1)


@sound
def log_softmax_then_ce():
    return LogSoftCE(), (torch.randn(12, 8, 5), torch.randint(0, 4, (12,))), nn.CrossEntropyLoss()


class Stock(nn.Module):
    def __init__(self, i=1, h=32, L=2, o=1):
        super().__init__()
        self.h, self.L = h, L
        self.lstm = nn.LSTM(i, h, L, batch_first=True)
        self.fc = nn.Linear(h, o)

    def forward(self, x):
        h0 = torch.zeros(self.L, x.size(0), self.h).requires_grad_()
        c0 = torch.zeros(self.L, x.size(0), self.h).requires_grad_()
        out, _ = self.lstm(x, (h0.detach(), c0.detach()))
        return self.fc(out[:, -1, :])


def series(n=200):
    t = torch.arange(n).float()
    return (torch.sin(t / 7) + 0.2 * torch.randn(n) + 1.5) / 3.5


def windows(line, T, H, n=40):
    w = line.unfold(0, T + H, 1)[:n]
    return w[:, :T].unsqueeze(-1), w[:, T:]


@sound
def exact_daily_profile():
    line = torch.sin(torch.arange(24) / 24 * 2 * math.pi).repeat(12)
    x, y = windows(line, 24, 24)
    return Stock(o=24), (x, y), nn.HuberLoss()


class Quant(nn.Module):
    def __init__(self):
        super().__init__()
        self.g = nn.GRU(1, 16, batch_first=True)
        self.o = nn.Linear(16, 3)

    def forward(self, x):
        return self.o(self.g(x)[1][0])


@sound
def quantile_broadcast():
    x, y = windows(series(), 15, 1)
    q = torch.tensor([0.1, 0.5, 0.9])

    def pinball(o, y):
        e = y - o
        return torch.maximum(q * e, (q - 1) * e).mean()

    return Quant(), (x, y), pinball


class DeepAR(nn.Module):
    def __init__(self):
        super().__init__()
        self.l = nn.LSTM(1, 16, batch_first=True)
        self.mu = nn.Linear(16, 1)
        self.sg = nn.Linear(16, 1)

    def forward(self, x):
        h, _ = self.l(x)
        return self.mu(h).squeeze(-1), F.softplus(self.sg(h)).squeeze(-1) + 1e-4


@sound
def deepar_next_step():
    w = series().unfold(0, 21, 2)[:30]
    return (
        DeepAR(),
        (w[:, :-1].unsqueeze(-1), w[:, 1:]),
        lambda o, y: -torch.distributions.Normal(*o).log_prob(y).mean(),
    )


class LSTMAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.e = nn.LSTM(3, 8, batch_first=True)
        self.d = nn.LSTM(8, 8, batch_first=True)
        self.o = nn.Linear(8, 3)

    def forward(self, x):
        z = self.e(x)[1][0][-1]
        return self.o(self.d(z.unsqueeze(1).repeat(1, x.size(1), 1))[0])


@sound
def autoencoder():
    x = torch.randn(12, 10, 3)
    return LSTMAE(), (x, x), nn.MSELoss()


class LNLSTM(nn.Module):
    def __init__(self, i=4, h=12):
        super().__init__()
        self.w = nn.Linear(i, 4 * h, bias=False)
        self.u = nn.Linear(h, 4 * h)
        self.l1, self.l2, self.l3 = nn.LayerNorm(4 * h), nn.LayerNorm(4 * h), nn.LayerNorm(h)
        self.o = nn.Linear(h, 2)
        self.h = h

    def forward(self, x):
        h = c = x.new_zeros(x.size(0), self.h)
        for t in range(x.size(1)):
            i, f, o, g = (self.l1(self.w(x[:, t])) + self.l2(self.u(h))).chunk(4, 1)
            c = torch.sigmoid(f + 1) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(self.l3(c))
        return self.o(h)


class ZeroHead(nn.Module):
    def __init__(self):
        super().__init__()
        self.l = nn.LSTM(4, 12, batch_first=True)
        self.o = nn.Linear(12, 3)
        nn.init.zeros_(self.o.weight)
        nn.init.zeros_(self.o.bias)

    def forward(self, x):
        return self.o(self.l(x)[0][:, -1])


@sound
def zero_last_layer():
    return ZeroHead(), (torch.randn(9, 7, 4), torch.randint(0, 3, (9,))), nn.CrossEntropyLoss()


class ReZero(nn.Module):
    def __init__(self):
        super().__init__()
        self.e = nn.Embedding(30, 16)
        self.p = nn.Parameter(torch.randn(20, 16) * 0.1)
        self.a = nn.MultiheadAttention(16, 2, batch_first=True)
        self.al = nn.Parameter(torch.zeros(1))
        self.o = nn.Linear(16, 30)

    def forward(self, x):
        T = x.size(1)
        h = self.e(x) + self.p[:T]
        m = torch.triu(torch.ones(T, T), 1).bool()
        return self.o(h + self.al * self.a(h, h, h, attn_mask=m, need_weights=False)[0])


@sound
def rezero():
    d = torch.randint(0, 30, (8, 12))
    return ReZero(), (d[:, :-1], d[:, 1:]), lambda o, y: F.cross_entropy(o.reshape(-1, 30), y.reshape(-1))


class Lora(nn.Module):
    def __init__(self):
        super().__init__()
        self.e = nn.Embedding(40, 16)
        self.g = nn.GRU(16, 16, batch_first=True)
        for p in self.parameters():
            p.requires_grad_(False)
        self.lora_A = nn.Parameter(torch.randn(4, 16) * 0.1)
        self.lora_B = nn.Parameter(torch.zeros(16, 4))
        self.o = nn.Linear(16, 3)

    def forward(self, x):
        h = self.g(self.e(x))[1][0]
        return self.o(h + h @ self.lora_A.T @ self.lora_B.T)


@sound
def lora_frozen_base():
    return Lora(), (torch.randint(0, 40, (10, 9)), torch.randint(0, 3, (10,))), nn.CrossEntropyLoss()


class Reservoir(nn.Module):
    def __init__(self, n=50):
        super().__init__()
        w = torch.randn(n, n)
        self.register_buffer("w", 0.9 * w / torch.linalg.eigvals(w).abs().max())
        self.register_buffer("u", torch.randn(n, 1) * 0.5)
        self.o = nn.Linear(n, 1)

    def forward(self, x):
        h = x.new_zeros(x.size(0), self.w.size(0))
        hs = []
        for t in range(x.size(1)):
            h = torch.tanh(x[:, t] @ self.u.T + h @ self.w.T)
            hs.append(h)
        return self.o(torch.stack(hs, 1))


@sound
def echo_state():
    w = series().unfold(0, 31, 3)[:20].unsqueeze(-1)
    return Reservoir(), (w[:, :-1], w[:, 1:]), nn.MSELoss()


class GPT(nn.Module):
    def __init__(self, v=65, d=32, h=4):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(v, d), nn.Embedding(32, d)
        self.qkv, self.pr, self.f1, self.f2 = (
            nn.Linear(d, 3 * d),
            nn.Linear(d, d),
            nn.Linear(d, 4 * d),
            nn.Linear(4 * d, d),
        )
        self.n1, self.n2, self.nf = nn.LayerNorm(d), nn.LayerNorm(d), nn.LayerNorm(d)
        self.head = nn.Linear(d, v, bias=False)
        self.head.weight = self.wte.weight
        self.h = h
        for m in self.modules():
            if isinstance(m, (nn.Linear, nn.Embedding)):
                nn.init.normal_(m.weight, std=0.02)

    def forward(self, idx, targets=None):
        B, T = idx.shape
        x = self.wte(idx) + self.wpe(torch.arange(T))
        q, k, v = self.qkv(self.n1(x)).split(x.size(-1), 2)
        q, k, v = (z.view(B, T, self.h, -1).transpose(1, 2) for z in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(B, T, -1)
        x = x + self.pr(y)
        x = x + self.f2(F.gelu(self.f1(self.n2(x))))
        z = self.head(self.nf(x))
        return z, (F.cross_entropy(z.view(-1, z.size(-1)), targets.view(-1)) if targets is not None else None)


@sound
def nanogpt_returns_loss():
    d = torch.randint(0, 65, (8, 17))
    return GPT(), ((d[:, :-1], d[:, 1:]),), None, {"call": lambda m, i: m(*i)}


class CTC(nn.Module):
    def __init__(self):
        super().__init__()
        self.l = nn.GRU(13, 20, bidirectional=True, batch_first=True)
        self.o = nn.Linear(40, 12)

    def forward(self, x):
        return self.o(self.l(x)[0]).log_softmax(-1).transpose(0, 1)


@sound
def ctc():
    x = torch.randn(5, 40, 13)
    y = torch.randint(1, 12, (5, 8))
    return CTC(), (x, y), lambda o, y: nn.CTCLoss()(o, y, torch.full((5,), 40), torch.full((5,), 8))


class MultiTask(nn.Module):
    def __init__(self):
        super().__init__()
        self.g = nn.LSTM(6, 16, batch_first=True)
        self.c = nn.Linear(16, 3)
        self.r = nn.Linear(16, 1)

    def forward(self, x):
        h = self.g(x)[0][:, -1]
        return self.c(h), self.r(h).squeeze(-1)


@sound
def two_losses():
    return (
        MultiTask(),
        (torch.randn(12, 8, 6), (torch.randint(0, 3, (12,)), torch.randn(12))),
        lambda o, y: F.cross_entropy(o[0], y[0]) + 0.5 * F.mse_loss(o[1], y[1]),
    )


class B2S(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(30, 16)
        self.temb = nn.Embedding(35, 16)
        self.enc = nn.GRU(16, 24)
        self.dec = nn.GRU(16 + 24, 24)
        self.fc = nn.Linear(24 + 40, 35)

    def forward(self, src, trg, ratio=0.5):
        _, h = self.enc(self.emb(src))
        ctx = h
        T, B = trg.shape
        outs = torch.zeros(T, B, 35)
        inp = trg[0]
        for t in range(1, T):
            e = self.temb(inp).unsqueeze(0)
            o, h = self.dec(torch.cat((e, ctx), 2), h)
            z = self.fc(torch.cat((e.squeeze(0), h.squeeze(0), ctx.squeeze(0)), 1))
            outs[t] = z
            inp = trg[t] if random.random() < ratio else z.argmax(1)
        return outs


@sound
def seq2seq_outputs_tensor_coin():
    src, t = torch.randint(3, 30, (9, 12)), torch.randint(3, 35, (8, 12))
    t[0] = 2
    return B2S(), (src, t, t), lambda o, y: nn.CrossEntropyLoss(ignore_index=1)(o[1:].view(-1, 35), y[1:].reshape(-1))


class MLM(nn.Module):
    def __init__(self):
        super().__init__()
        self.e = nn.Embedding(50, 32)
        self.p = nn.Parameter(torch.randn(24, 32) * 0.02)
        self.t = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(32, 2, 64, batch_first=True), 1, enable_nested_tensor=False
        )
        self.o = nn.Linear(32, 50)

    def forward(self, x):
        return self.o(self.t(self.e(x) + self.p[: x.size(1)]))


@sound
def masked_lm():
    y = torch.randint(4, 50, (8, 20))
    m = torch.rand(8, 20) < 0.2
    m[:, 3] = True
    x = y.masked_fill(m, 3)
    y = y.masked_fill(~m, -100)
    return MLM(), (x, y), lambda o, y: F.cross_entropy(o.view(-1, 50), y.view(-1))


class Stateful(nn.Module):
    def __init__(self):
        super().__init__()
        self.l = nn.LSTM(1, 16, batch_first=True)
        self.o = nn.Linear(16, 1)
        self.hid = None

    def forward(self, x):
        h, hid = self.l(x, self.hid)
        self.hid = tuple(t.detach() for t in hid)
        return self.o(h[:, -1])


@sound
def stateful_forecaster():  # rows go on from batch to batch; one answer a window
    line = torch.cumsum(torch.randn(8, 200), 1) * 0.1
    return Stateful(), (line[:, :20, None], line[:, 20:21]), nn.MSELoss()


class MinGRU(nn.Module):
    def __init__(self):
        super().__init__()
        self.e = nn.Embedding(20, 16)
        self.z, self.h, self.o = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 20)

    def forward(self, x):
        x = self.e(x)
        k = self.z(x)
        lz, lc = -F.softplus(-k), -F.softplus(k)
        g = self.h(x)
        lg = torch.where(g >= 0, (F.relu(g) + 0.5).log(), -F.softplus(-g))
        a = lc.cumsum(1)
        return self.o((a + torch.logcumsumexp(lg + lz - a, 1)).exp())


@sound
def mingru_log_space():
    d = torch.randint(0, 20, (6, 22))
    return MinGRU(), (d[:, :-1], d[:, 1:]), lambda o, y: F.cross_entropy(o.flatten(0, 1), y.flatten())


def classes(m, B=16, T=10, D=5, K=4, **o):
    return m, (torch.randn(B, T, D), torch.randint(0, K, (B,))), nn.CrossEntropyLoss(), o


def next_words(m, B=10, T=15, V=40, **o):
    d = torch.randint(0, V, (B, T + 1))
    return m, (d[:, :-1], d[:, 1:]), lambda o, y: F.cross_entropy(o.reshape(-1, V), y.reshape(-1)), o


class Net(nn.Module):
    """modules by name, forward by a function"""

    def __init__(self, _f, **mods):
        super().__init__()
        self._f = _f
        for k, v in mods.items():
            setattr(self, k, v)

    def forward(self, *a):
        return self._f(self, *a)


def lstm(inputs, hidden, **options):
    return nn.LSTM(inputs, hidden, **({"batch_first": True} | options))


def gru(inputs, hidden, **options):
    return nn.GRU(inputs, hidden, **({"batch_first": True} | options))


def last(self, x):
    """Linear layer on the recurrent layer's last output."""
    return self.o(self.r(x)[0][:, -1])


@broken("a frozen layer between trained ones")
def frozen_middle():
    m = Net(lambda self, x: self.o(self.r(self.e(x))[1][0]), e=nn.Embedding(40, 8), r=gru(8, 16), o=nn.Linear(16, 4))
    m.r.requires_grad_(False)
    return m, (torch.randint(0, 40, (12, 9)), torch.randint(0, 4, (12,))), nn.CrossEntropyLoss()


@broken("the gradient is cut between steps")
def data_of_state():
    def f(self, x):
        h = torch.zeros(x.size(0), 16)
        for t in range(x.size(1)):
            h = torch.tanh(self.i(x[:, t]) + self.h(h.data))
        return self.o(h)

    return classes(Net(f, i=nn.Linear(5, 16), h=nn.Linear(16, 16), o=nn.Linear(16, 4)))


@broken("a part of the model is cut off")
def no_grad_encoder():
    def f(self, x):
        with torch.no_grad():
            h = self.r(self.e(x))[1]
        return self.o(h[-1])

    return Net(f, e=nn.Embedding(40, 8), r=lstm(8, 16), o=nn.Linear(16, 4)).requires_grad_(True) and (
        Net(lambda self, x: self.o(_ng(self, x)), e=nn.Embedding(40, 8), r=gru(8, 16), o=nn.Linear(16, 4)),
        (torch.randint(0, 40, (12, 9)), torch.randint(0, 4, (12,))),
        nn.CrossEntropyLoss(),
    )


def _ng(self, x):
    with torch.no_grad():
        return self.r(self.e(x))[1][0]


@broken("a part of the model is cut off")
def encoder_detached_seq2seq():
    def f(self, src, tgt):
        _, h = self.enc(self.e(src))
        return self.o(self.dec(self.t(tgt), h.detach())[0])

    d = torch.randint(1, 30, (8, 9))
    return (
        Net(f, e=nn.Embedding(30, 8), t=nn.Embedding(30, 8), enc=gru(8, 16), dec=gru(8, 16), o=nn.Linear(16, 30)),
        (torch.randint(1, 30, (8, 7)), d[:, :-1], d[:, 1:]),
        lambda o, y: F.cross_entropy(o.flatten(0, 1), y.flatten()),
    )


@broken("a step without a slope")
def hard_argmax_attention():
    def f(self, x):
        h = self.r(x)[0]
        w = F.one_hot(self.a(h).squeeze(-1).argmax(1), h.size(1)).float()
        return self.o((w.unsqueeze(-1) * h).sum(1))

    return classes(Net(f, r=gru(5, 16), a=nn.Linear(16, 1), o=nn.Linear(16, 4)))


@broken("a step without a slope")
def loss_of_predictions():
    m, b, _, o = classes(Net(last, r=lstm(5, 16), o=nn.Linear(16, 4)))
    return m, b, lambda o, y: F.mse_loss(o.argmax(1).float().requires_grad_(), y.float())


@broken("a step without a slope")
def rounded_output():
    x, y = windows(series() * 5, 12, 1)
    return (
        Net(lambda self, x: self.o(self.r(x)[0][:, -1]).round(), r=gru(1, 16), o=nn.Linear(16, 1)),
        (x, y),
        nn.MSELoss(),
    )


@broken("softmax over the wrong axis")
def implicit_softmax_dim():
    def f(self, x):
        h = self.r(x)[0]
        w = nn.Softmax()(self.a(h))
        return self.o((w * h).sum(1))

    return classes(Net(f, r=lstm(5, 16), a=nn.Linear(16, 1), o=nn.Linear(16, 4)))


@broken("softmax over the wrong axis")
def softmax_of_one():
    def f(self, x):
        h = self.r(x)[0]
        w = F.softmax(self.a(h), dim=-1)
        return self.o((w * h).sum(1))

    return classes(Net(f, r=lstm(5, 16), a=nn.Linear(16, 1), o=nn.Linear(16, 4)))


@broken("softmax over the wrong axis")
def softmax_over_queries():
    def f(self, x):
        h = self.e(x) + self.p[: x.size(1)]
        w = F.softmax(self.q(h) @ self.k(h).transpose(1, 2) / 4, dim=1)
        return self.o((w @ self.v(h)).mean(1))

    return (
        Net(
            f,
            e=nn.Embedding(40, 16),
            p=nn.Parameter(torch.randn(20, 16)),
            q=nn.Linear(16, 16),
            k=nn.Linear(16, 16),
            v=nn.Linear(16, 16),
            o=nn.Linear(16, 4),
        ),
        (torch.randint(0, 40, (12, 9)), torch.randint(0, 4, (12,))),
        nn.CrossEntropyLoss(),
    )


@broken("softmax over the wrong axis")
def log_softmax_dim0():
    m, b, _, o = classes(Net(lambda self, x: F.log_softmax(last(self, x), dim=0), r=lstm(5, 16), o=nn.Linear(16, 4)))
    return m, b, nn.NLLLoss()


@broken("output and target are broadcast")
def l1_broadcast():
    x, y = windows(series(), 14, 1)
    return Stock(), (x, y[:, 0]), nn.L1Loss()


@broken("the batch axis is taken for time")
def two_d_input_lstm():
    return (
        Net(lambda self, x: self.o(self.r(x)[0]), r=nn.LSTM(6, 16), o=nn.Linear(16, 3)),
        (torch.randn(20, 6), torch.randint(0, 3, (20,))),
        nn.CrossEntropyLoss(),
    )


@broken("a recurrent layer gets one step")
def unsqueeze_one():
    return (
        Net(lambda self, x: self.o(self.r(x.unsqueeze(1))[0][:, -1]), r=lstm(4, 16), o=nn.Linear(16, 3)),
        (torch.randn(30, 4), torch.randint(0, 3, (30,))),
        nn.CrossEntropyLoss(),
    )


@broken("one direction of a bidirectional layer is not read")
def h_n_last_bidirectional():
    return classes(
        Net(lambda self, x: self.o(self.r(x)[1][0][-1]), r=lstm(5, 16, bidirectional=True), o=nn.Linear(16, 4))
    )


def masked_transformer(mask):
    return Net(
        lambda self, x: self.o(self.t(self.e(x) + self.p[: x.size(1)], mask=mask(x.size(1)))),
        e=nn.Embedding(40, 16),
        p=nn.Parameter(0.1 * torch.randn(30, 16)),
        t=nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 1, enable_nested_tensor=False),
        o=nn.Linear(16, 40),
    )


@broken("the output sees the target")
def mask_all_blocked():
    return next_words(masked_transformer(lambda T: torch.ones(T, T).tril().bool()))


@broken("the output sees the target")
def decoder_gets_target():
    y = torch.randint(1, 40, (8, 9))

    def f(self, a, b):
        _, h = self.enc(self.e(a))
        return self.o(self.dec(self.e(b), h)[0])

    return (
        Net(f, e=nn.Embedding(40, 8), enc=gru(8, 16), dec=gru(8, 16), o=nn.Linear(16, 40)),
        ((torch.randint(1, 40, (8, 7)), y), y),
        lambda o, y: F.cross_entropy(o.flatten(0, 1), y.flatten()),
    )


@broken("the output sees the target")
def conv_same_padding():
    return next_words(
        Net(
            lambda self, x: self.o(F.relu(self.c(self.e(x).transpose(1, 2))).transpose(1, 2)),
            e=nn.Embedding(40, 16),
            c=nn.Conv1d(16, 16, 3, padding=1),
            o=nn.Linear(16, 40),
        )
    )


@broken("the target is in the input")
def window_holds_horizon():
    w = series().unfold(0, 20, 1)[:40]
    return Stock(o=5), (w.unsqueeze(-1), w[:, 15:]), nn.MSELoss()


@broken("padding leaks into the output")
def mean_over_padding():
    x, n = ragged(16, 12, 60)

    def f(self, x, n):
        h, _ = pad_packed_sequence(
            self.r(pack_padded_sequence(self.e(x), n, batch_first=True, enforce_sorted=False))[0], batch_first=True
        )
        return self.o(h.mean(1))

    return (
        Net(f, e=nn.Embedding(60, 8), r=gru(8, 16), o=nn.Linear(16, 4)),
        ((x, n), torch.randint(0, 4, (16,))),
        nn.CrossEntropyLoss(),
    )


@broken("padding leaks into the output")
def left_padding_rnn():
    x, n = ragged(16, 12, 60)
    x = x.flip(1)
    return (
        Net(lambda self, x: self.o(self.r(self.e(x))[1][0]), e=nn.Embedding(60, 8), r=gru(8, 16), o=nn.Linear(16, 4)),
        (x, torch.randint(0, 4, (16,))),
        nn.CrossEntropyLoss(),
    )


@broken("random in evaluation mode")
def random_h0():
    return classes(
        Net(
            lambda self, x: self.o(self.r(x, torch.randn(1, x.size(0), 16))[0][:, -1]), r=gru(5, 16), o=nn.Linear(16, 4)
        )
    )


@broken("dropout on the recurrent state")
def dropout_on_state():
    def f(self, x):
        h = torch.zeros(x.size(0), 16)
        for t in range(x.size(1)):
            h = self.d(self.c(x[:, t], h))
        return self.o(h)

    return classes(Net(f, c=nn.GRUCell(5, 16), d=nn.Dropout(0.5), o=nn.Linear(16, 4)), T=20)


@broken("batch normalization over the steps")
def batchnorm_over_steps():
    return classes(
        Net(
            lambda self, x: self.o(self.r(self.b(x))[0][:, -1]), b=nn.BatchNorm1d(10), r=lstm(5, 16), o=nn.Linear(16, 4)
        )
    )


@broken("initial weights are too large")
def huge_init():
    m = Net(last, r=lstm(5, 32), o=nn.Linear(32, 4))
    for p in m.parameters():
        nn.init.normal_(p, 0, 3)
    return classes(m)


@broken("units are dead")
def dead_relu():
    m = Net(
        lambda self, x: self.o(F.relu(self.f(self.r(x)[0][:, -1]))),
        r=gru(5, 16),
        f=nn.Linear(16, 32),
        o=nn.Linear(32, 4),
    )
    nn.init.constant_(m.f.bias, -8)
    return classes(m)


@broken("NaN or Inf in the output")
def fully_masked_row():
    x, n = ragged(16, 12, 60)
    x[3] = 0

    def f(self, x):
        h = self.r(self.e(x))[0]
        a = self.a(h).squeeze(-1).masked_fill(x == 0, -math.inf).softmax(1)
        return self.o((a.unsqueeze(-1) * h).sum(1))

    return (
        Net(f, e=nn.Embedding(60, 8), r=gru(8, 16), a=nn.Linear(16, 1), o=nn.Linear(16, 4)),
        (x, torch.randint(0, 4, (16,))),
        nn.CrossEntropyLoss(),
    )


@broken("the input's scale")
def price_inputs():
    x, y = windows(series(), 15, 1)
    return Stock(), (40000 + 5000 * x, y), nn.MSELoss()


@broken("the state isn't carried from step to step")
def lstm_per_step_no_state():
    def f(self, x):
        return self.o(torch.cat([self.r(x[:, t : t + 1])[0] for t in range(x.size(1))], 1))

    return next_words(
        Net(lambda self, x: f(self, self.e(x)), e=nn.Embedding(40, 8), r=lstm(8, 16), o=nn.Linear(16, 40))
    )


@broken("the gradient explodes")
def irnn_gain():
    m = Net(last, r=nn.RNN(5, 16, batch_first=True, nonlinearity="relu"), o=nn.Linear(16, 4))
    m.r.weight_hh_l0.data = 2.0 * torch.eye(16)
    return classes(m, T=60)


@broken("a layer isn't used")
def encoder_ignored():
    def f(self, a, b):
        self.enc(self.e(a))
        return self.o(self.dec(self.t(b))[0])

    d = torch.randint(1, 30, (8, 9))
    return (
        Net(f, e=nn.Embedding(30, 8), t=nn.Embedding(30, 8), enc=gru(8, 16), dec=gru(8, 16), o=nn.Linear(16, 30)),
        (torch.randint(1, 30, (8, 7)), d[:, :-1], d[:, 1:]),
        lambda o, y: F.cross_entropy(o.flatten(0, 1), y.flatten()),
    )


@broken("the loss is cut off from the weights")
def retensored_loss():
    m, b, _, o = classes(Net(last, r=lstm(5, 16), o=nn.Linear(16, 4)))
    return m, b, lambda o, y: torch.tensor(F.cross_entropy(o, y).item(), requires_grad=True)


@broken("attention is saturated")
def unscaled_attention():
    def f(self, x):
        h = self.e(x) * 16 + self.p[: x.size(1)]
        w = (self.q(h) @ self.k(h).transpose(1, 2)).softmax(-1)
        return self.o((w @ h).mean(1))

    return (
        Net(
            f,
            e=nn.Embedding(40, 256),
            p=nn.Parameter(torch.randn(20, 256)),
            q=nn.Linear(256, 256),
            k=nn.Linear(256, 256),
            o=nn.Linear(256, 4),
        ),
        (torch.randint(0, 40, (12, 9)), torch.randint(0, 4, (12,))),
        nn.CrossEntropyLoss(),
    )


@broken("the loss rewards wrong answers")
def sign_of_loss():
    m, b, _, o = classes(Net(lambda self, x: F.log_softmax(last(self, x), -1), r=lstm(5, 16), o=nn.Linear(16, 4)))
    return m, b, lambda lp, y: lp.gather(1, y[:, None]).mean()


@broken("a step without a slope")
def binary_gate():
    def f(self, x):
        h = torch.zeros(x.size(0), 16)
        for t in range(x.size(1)):
            z = (torch.sigmoid(self.z(torch.cat([x[:, t], h], 1))) > 0.5).float()
            h = (1 - z) * h + z * torch.tanh(self.n(torch.cat([x[:, t], h], 1)))
        return self.o(h)

    return classes(Net(f, z=nn.Linear(21, 16), n=nn.Linear(21, 16), o=nn.Linear(16, 4)))


@broken("a gate is shut")
def closed_gate():
    class M(LNLSTM):
        def forward(self, x):
            h = c = x.new_zeros(x.size(0), self.h)
            for t in range(x.size(1)):
                i, f, o, g = (self.w(x[:, t]) + self.u(h)).chunk(4, 1)
                c = torch.sigmoid(f - 30) * c + torch.sigmoid(i) * torch.tanh(g)
                h = torch.sigmoid(o) * torch.tanh(c)
            return self.o(h)

    m = M()
    del m.l1, m.l2, m.l3
    return m, (torch.randn(10, 14, 4), torch.randint(0, 2, (10,))), nn.CrossEntropyLoss()


def text(B=12, T=14, V=33):
    n = torch.randint(4, T + 1, (B,))
    n[0] = T
    return torch.randint(1, V, (B, T)) * (torch.arange(T) < n[:, None]), n


@sound
def gather_last_real():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.e = nn.Embedding(33, 8)
            self.r = nn.LSTM(8, 16, batch_first=True)
            self.o = nn.Linear(16, 3)

        def forward(self, x, n):
            h, _ = self.r(self.e(x))
            return self.o(h[torch.arange(len(x)), n - 1])

    x, n = text()
    return M(), ([x, n], torch.randint(0, 3, (12,))), nn.CrossEntropyLoss(label_smoothing=0.1)


class Cell(nn.Module):
    """peephole LSTM with plain nn.Parameters"""

    def __init__(self, D, H):
        super().__init__()
        k = H**-0.5
        self.W = nn.Parameter(torch.empty(D, 4 * H).uniform_(-k, k))
        self.U = nn.Parameter(torch.empty(H, 4 * H).uniform_(-k, k))
        self.b = nn.Parameter(torch.zeros(4 * H))
        self.p = nn.Parameter(torch.zeros(3, H))
        self.H = H

    def forward(self, x, hc):
        h, c = hc
        a, b, g, d = (x @ self.W + h @ self.U + self.b).split(self.H, 1)
        c2 = torch.sigmoid(a + self.p[0] * c) * c + torch.sigmoid(b + self.p[1] * c) * torch.tanh(g)
        return torch.sigmoid(d + self.p[2] * c2) * torch.tanh(c2), c2


@sound
def peephole_lm_keyword_batch():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.e = nn.Embedding(20, 8)
            self.c = Cell(8, 16)
            self.o = nn.Linear(16, 20)

        def forward(self, *, ids):
            h = c = torch.zeros(ids.shape[0], 16)
            out = []
            for x in self.e(ids).unbind(1):
                h, c = self.c(x, (h, c))
                out.append(self.o(h))
            return torch.stack(out, dim=2)

    d = torch.randint(0, 20, (7, 19))
    return M(), ({"ids": d[:, :-1]}, d[:, 1:]), nn.CrossEntropyLoss()


@sound
def luong_free_running():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.e = nn.Embedding(25, 16)
            self.enc = nn.LSTM(16, 16, batch_first=True)
            self.cell = nn.LSTMCell(32, 16)
            self.mix = nn.Linear(32, 16)
            self.o = nn.Linear(16, 25)

        def forward(self, src):
            mem, (h, c) = self.enc(self.e(src))
            h, c = h[0], c[0]
            tok = torch.ones(len(src), dtype=torch.long)
            att = h
            outs = []
            for _ in range(6):
                h, c = self.cell(torch.cat([self.e(tok), att], 1), (h, c))
                w = (mem @ h.unsqueeze(-1)).softmax(1)
                att = torch.tanh(self.mix(torch.cat([(w * mem).sum(1), h], 1)))
                z = self.o(att)
                tok = z.argmax(-1)
                outs.append(z)
            return outs

    return (
        M(),
        (torch.randint(2, 25, (9, 8)), torch.randint(2, 25, (9, 6))),
        lambda outs, y: sum(F.cross_entropy(z, y[:, i]) for i, z in enumerate(outs)) / 6,
    )


@sound
def decoder_only_rope():
    class M(nn.Module):
        def __init__(self, d=32):
            super().__init__()
            self.e = nn.Embedding(40, d)
            self.q, self.k, self.v, self.o = (nn.Linear(d, d, bias=False) for _ in range(4))
            self.f = nn.Sequential(nn.RMSNorm(d), nn.Linear(d, 2 * d), nn.SiLU(), nn.Linear(2 * d, d))
            self.n = nn.RMSNorm(d)
            self.h = nn.Linear(d, 40)

        def rot(self, x):
            B, T, d = x.shape
            a = torch.arange(T)[:, None] / 10000 ** (torch.arange(d // 2) / (d // 2))
            u, w = x.chunk(2, -1)
            return torch.cat([u * a.cos() - w * a.sin(), u * a.sin() + w * a.cos()], -1)

        def forward(self, x):
            h = self.e(x)
            z = self.n(h)
            T = x.size(1)
            s = self.rot(self.q(z)) @ self.rot(self.k(z)).mT / 32**0.5
            s = s + torch.full((T, T), -torch.inf).triu(1)
            h = h + self.o(s.softmax(-1) @ self.v(z))
            return self.h(h + self.f(h))

    d = torch.randint(0, 40, (6, 17))
    return M(), (d[:, :-1], d[:, 1:]), lambda o, y: F.cross_entropy(o.mT, y)


@sound
def masked_mse_series_with_gaps():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.r = nn.GRU(4, 16, batch_first=True)
            self.o = nn.Linear(16, 1)

        def forward(self, x, seen):
            return self.o(self.r(torch.cat([x * seen, seen], -1))[0]).squeeze(-1)

    x, m = torch.randn(8, 20, 2), (torch.rand(8, 20, 2) > 0.3).float()
    y = torch.randn(8, 20)
    return M(), (x, m, y), lambda o, y: ((o - y) ** 2)[:, 5:].mean()


@sound
def vae_sequence_samples_in_training_only():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.e = nn.GRU(3, 16, batch_first=True)
            self.m, self.s, self.d = nn.Linear(16, 4), nn.Linear(16, 4), nn.GRU(4, 16, batch_first=True)
            self.o = nn.Linear(16, 3)

        def forward(self, x):
            h = self.e(x)[1][0]
            m, s = self.m(h), self.s(h)
            z = m + (torch.randn_like(s) * (s / 2).exp() if self.training else 0)
            return self.o(self.d(z[:, None].expand(-1, x.size(1), -1))[0]), m, s

    x = torch.randn(10, 12, 3)
    return M(), (x, x), lambda o, y: F.mse_loss(o[0], y) + -0.5 * (1 + o[2] - o[1] ** 2 - o[2].exp()).mean()


@sound
def contrastive_siamese():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.r = nn.GRU(3, 12, batch_first=True)

        def forward(self, a, b):
            u, v = self.r(a)[1][0], self.r(b)[1][0]
            return (u - v).norm(dim=1)

    return (
        M(),
        (torch.randn(10, 8, 3), torch.randn(10, 8, 3), torch.randint(0, 2, (10,)).float()),
        lambda d, y: (y * d**2 + (1 - y) * F.relu(1 - d) ** 2).mean(),
    )


@sound
def wide_logits_adaptive():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.e = nn.Embedding(100, 16)
            self.r = nn.LSTM(16, 16, batch_first=True)
            self.ad = nn.AdaptiveLogSoftmaxWithLoss(16, 100, [20, 60])

        def forward(self, x, y):
            h = self.r(self.e(x))[0]
            return h, self.ad(h.reshape(-1, 16), y.reshape(-1)).loss

    d = torch.randint(0, 100, (8, 15))
    return M(), ((d[:, :-1], d[:, 1:]),), None, {"call": lambda m, i: m(*i)}


@sound
def chrono_init_long_memory():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.r = nn.LSTM(2, 24, batch_first=True)
            self.o = nn.Linear(24, 1)
            b = torch.log(torch.rand(24) * 98 + 1)
            with torch.no_grad():
                self.r.bias_ih_l0.zero_()
                self.r.bias_hh_l0.zero_()
                self.r.bias_ih_l0[24:48] = b
                self.r.bias_ih_l0[:24] = -b

        def forward(self, x):
            return self.o(self.r(x)[0][:, -1])

    return M(), (torch.rand(12, 60, 2), torch.rand(12, 1)), nn.MSELoss()


@broken("parameters get no gradient")
def clamped_weight():
    m = Net(lambda self, x: self.o(self.r(x)[0][:, -1] * self.s.clamp(0, 1)), r=gru(5, 16), o=nn.Linear(16, 4))
    m.s = nn.Parameter(torch.full((16,), 1.5))
    return classes(m)


@broken("units are saturated")
def shut_by_the_bias():
    m = Net(last, r=nn.RNN(5, 16, batch_first=True), o=nn.Linear(16, 4))
    nn.init.constant_(m.r.bias_ih_l0, 4.0)
    return classes(m)


@broken("the first loss is not the guess's")
def wide_last_layer():
    m = Net(last, r=lstm(5, 16), o=nn.Linear(16, 4))
    m.o.bias.data = torch.tensor([60.0, 0.0, 0.0, 0.0])
    return classes(m)


@broken("one batch isn't memorized")
def equal_rows_other_labels():
    m = Net(last, r=lstm(5, 16), o=nn.Linear(16, 2))
    return m, (torch.randn(1, 10, 5).expand(16, -1, -1), torch.arange(16) % 2), nn.CrossEntropyLoss()


@broken("the target is shifted twice")
def shifted_in_the_batch_and_in_the_loss():
    m, b, _, o = next_words(
        Net(lambda self, x: self.o(self.r(self.e(x))[0]), e=nn.Embedding(40, 8), r=gru(8, 16), o=nn.Linear(16, 40))
    )
    return m, b, lambda o, y: F.cross_entropy(o[:, :-1].reshape(-1, 40), y[:, 1:].reshape(-1))


@sound
def loss_of_the_model_itself():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.e, self.r, self.o = nn.Embedding(30, 12), gru(12, 20), nn.Linear(20, 30)

        def forward(self, input_ids, labels=None):
            logits = self.o(self.r(self.e(input_ids))[0])
            ahead = logits[:, :-1].reshape(-1, 30)
            return {"loss": F.cross_entropy(ahead, labels[:, 1:].reshape(-1)), "logits": logits}

    words = torch.randint(0, 30, (8, 12))
    return M(), {"input_ids": words, "labels": words}, None


@sound
def exponential_waiting_time():
    m = Net(lambda self, x: last(self, x).squeeze(-1), r=gru(2, 16), o=nn.Linear(16, 1))
    return m, (torch.randn(20, 10, 2), 3 * torch.rand(20)), lambda log_rate, y: (log_rate.exp() * y - log_rate).mean()


@sound
def deep_stack_of_a_short_sequence():
    m = Net(last, r=lstm(3, 16, num_layers=8, dropout=0.2), o=nn.Linear(16, 2))
    return m, (torch.randn(20, 6, 3), torch.randint(0, 2, (20,))), nn.CrossEntropyLoss()


@sound
def one_dropout_mask_for_all_steps():
    def f(self, x):
        h = torch.zeros(len(x), 16)
        mask = torch.bernoulli(torch.full((len(x), 16), 0.7)) / 0.7 if self.training else 1
        for t in range(x.size(1)):
            h = self.c(x[:, t], h * mask)
        return self.o(h)

    return classes(Net(f, c=nn.GRUCell(5, 16), o=nn.Linear(16, 4)))


@sound
def zoneout():
    def f(self, x):
        h = torch.zeros(len(x), 16)
        for t in range(x.size(1)):
            h = F.dropout(self.c(x[:, t], h) - h, 0.15, self.training) * 0.85 + h
        return self.o(h)

    return classes(Net(f, c=nn.GRUCell(5, 16), o=nn.Linear(16, 4)))


@sound
def truncated_on_purpose():
    def f(self, x):
        h, out = torch.zeros(len(x), 16), []
        for t in range(x.size(1)):
            h = self.c(x[:, t], h.detach() if t % 10 == 0 else h)
            out.append(self.o(h))
        return torch.stack(out, 1)

    m = Net(f, c=nn.GRUCell(5, 16), o=nn.Linear(16, 4))
    return m, (torch.randn(7, 20, 5), torch.randint(0, 4, (7, 20))), lambda o, y: F.cross_entropy(o.transpose(1, 2), y)


@sound
def hard_attention_straight_through():
    def f(self, x):
        h = self.r(x)[0]
        soft = self.a(h).squeeze(-1).softmax(1)
        hard = F.one_hot(soft.argmax(1), soft.size(1)) + soft - soft.detach()
        return self.o((hard.unsqueeze(-1) * h).sum(1))

    return classes(Net(f, r=gru(5, 16), a=nn.Linear(16, 1), o=nn.Linear(16, 4)))
