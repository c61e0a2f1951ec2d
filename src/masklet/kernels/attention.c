/* Softmax attention in bf16 on CPUs with AVX512-BF16, block by block, so that no score ever leaves the cache.
 *
 * Scores and everything summed are fp32; queries, keys, values, weights and the result are bf16. PyTorch's fused kernel
 * gains little from bf16 where there is no AMX: it widens to fp32 (docs/speed.md).
 *
 * Beyond what fused kernels take: values of another width than the keys, a bias for each key, and rotary positions,
 * which are applied while queries and keys are laid out anyway.
 */
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

typedef uint16_t bf16;

enum { TILE_ROWS = 6, ROWS = 96, KEYS = 256, PACK = 64, LANES = 16, MAX_WIDTH = 512, FEW = 512 };

typedef struct { /* mirrored in masklet/kernels/__init__.py; strides in elements, of batch, head and token */
    const bf16 *queries, *keys, *values;
    bf16 *out;
    int64_t query_strides[3], key_strides[3], value_strides[3], out_strides[3];
    int64_t batch, heads, num_queries, num_keys, width, value_width;
    const float *bias;                       /* (num_keys,) or NULL */
    const float *query_cosines, *query_sines; /* (num_queries, width / 2) or NULL */
    const float *key_cosines, *key_sines;     /* (key_period, width / 2) or NULL */
    int64_t key_period;                      /* the key in place i has row i % key_period ... */
    int64_t num_placed;                      /* ... if i is below this; else it has no place */
    float scale;
    uint32_t *packed_keys;   /* (batch, heads, padded keys / 64, width / 2, 64) pairs of channels */
    uint32_t *packed_values; /* (batch, heads, padded keys / 2, padded value width) pairs of keys */
    void (*parallel)(void (*)(void *), void *, unsigned, unsigned); /* GOMP_parallel, or NULL for one thread */
    int64_t next; /* 0: the task that nobody has taken yet */
} Attention;

static inline int64_t padded(int64_t count, int64_t to) { return (count + to - 1) / to * to; }

static inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

static inline float widen(bf16 x) {
    uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static inline bf16 narrow(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return (bf16)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

/* One token's channels as 32-bit pairs, turned by its place's angles where it has any. */
static void place_token(const bf16 *x, uint32_t *pairs, int64_t width, const float *cosines, const float *sines) {
    if (!cosines) {
        memcpy(pairs, x, width * sizeof(bf16));
        return;
    }
    for (int64_t c = 0; c < width / 2; c++) {
        float a = widen(x[2 * c]), b = widen(x[2 * c + 1]);
        uint32_t first = narrow(a * cosines[c] - b * sines[c]), second = narrow(a * sines[c] + b * cosines[c]);
        pairs[c] = first | second << 16;
    }
}

static void pack_keys(const Attention *a, int64_t b, int64_t h, int64_t block) {
    int64_t half = a->width / 2, blocks = padded(a->num_keys, PACK) / PACK;
    uint32_t *packed = a->packed_keys + ((b * a->heads + h) * blocks + block) * half * PACK;
    uint32_t token[MAX_WIDTH / 2];
    int64_t filled = smaller(PACK, padded(a->num_keys - block * PACK, LANES)); /* no more is read */
    for (int64_t i = 0; i < filled; i++) {
        int64_t n = block * PACK + i;
        if (n < a->num_keys) {
            const bf16 *key = a->keys + b * a->key_strides[0] + h * a->key_strides[1] + n * a->key_strides[2];
            int is_placed = a->key_cosines && n < a->num_placed;
            int64_t row = is_placed ? n % a->key_period * half : 0;
            place_token(key, token, a->width, is_placed ? a->key_cosines + row : NULL, a->key_sines + row);
        } else {
            memset(token, 0, half * 4);
        }
        for (int64_t c = 0; c < half; c++) packed[c * PACK + i] = token[c];
    }
}

static void pack_values(const Attention *a, int64_t b, int64_t h, int64_t block) {
    int64_t columns = padded(a->value_width, LANES), rows = padded(a->num_keys, PACK) / 2;
    uint32_t *packed = a->packed_values + ((b * a->heads + h) * rows + block * PACK / 2) * columns;
    const bf16 *values = a->values + b * a->value_strides[0] + h * a->value_strides[1];
    int64_t end = smaller(a->num_keys, (block + 1) * PACK);
    for (int64_t n = block * PACK; n < end; n += 2, packed += columns) {
        const bf16 *even = values + n * a->value_strides[2], *odd = even + a->value_strides[2];
        if (n + 1 < end)
            for (int64_t c = 0; c < a->value_width; c++) packed[c] = even[c] | (uint32_t)odd[c] << 16;
        else
            for (int64_t c = 0; c < a->value_width; c++) packed[c] = even[c];
        memset(packed + a->value_width, 0, (columns - a->value_width) * 4);
    }
}

/* out (6, 16 * vectors) += left (6, pairs) @ right (pairs, 16 * vectors), in pairs of bf16. */
static inline __attribute__((always_inline)) void multiply(const uint32_t *left, int64_t left_stride,
                                                           const uint32_t *right, int64_t right_stride, float *out,
                                                           int64_t out_stride, int64_t pairs, const int vectors) {
    __m512 sums[TILE_ROWS][4];
#pragma GCC unroll 6
    for (int m = 0; m < TILE_ROWS; m++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) sums[m][v] = _mm512_loadu_ps(out + m * out_stride + v * LANES);
    for (int64_t k = 0; k < pairs; k++) {
        __m512bh row[4];
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            row[v] = (__m512bh)_mm512_loadu_si512(right + k * right_stride + v * LANES);
#pragma GCC unroll 6
        for (int m = 0; m < TILE_ROWS; m++) {
            __m512bh own = (__m512bh)_mm512_set1_epi32((int)left[m * left_stride + k]);
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++) sums[m][v] = _mm512_dpbf16_ps(sums[m][v], own, row[v]);
        }
    }
#pragma GCC unroll 6
    for (int m = 0; m < TILE_ROWS; m++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) _mm512_storeu_ps(out + m * out_stride + v * LANES, sums[m][v]);
}

static void multiply_wide(const uint32_t *left, int64_t left_stride, const uint32_t *right, int64_t right_stride,
                          float *out, int64_t out_stride, int64_t pairs, int64_t vectors) {
    for (; vectors >= 4; vectors -= 4, right += 4 * LANES, out += 4 * LANES)
        multiply(left, left_stride, right, right_stride, out, out_stride, pairs, 4);
    if (vectors == 3) multiply(left, left_stride, right, right_stride, out, out_stride, pairs, 3);
    if (vectors == 2) multiply(left, left_stride, right, right_stride, out, out_stride, pairs, 2);
    if (vectors == 1) multiply(left, left_stride, right, right_stride, out, out_stride, pairs, 1);
}

/* 2^x for x <= 0, to 6e-6 relative: weights are rounded to 8 bits afterwards. */
static inline __m512 power_of_two(__m512 x) {
    x = _mm512_max_ps(x, _mm512_set1_ps(-126.0f));
    __m512 whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 rest = _mm512_sub_ps(x, whole); /* in [-1/2, 1/2] */
    __m512 sum = _mm512_set1_ps(0.009618129f);
    sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(0.055504109f));
    sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(0.240226507f));
    sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(0.693147181f));
    sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(sum, whole);
}

typedef struct {
    float scores[ROWS * KEYS];
    bf16 weights[ROWS * KEYS];
    float sums[ROWS * MAX_WIDTH];
    uint32_t queries[ROWS * MAX_WIDTH / 2];
    float highest[ROWS], total[ROWS];
} __attribute__((aligned(64))) Scratch;

static __thread Scratch scratch;

/* Scores of one row against `count` keys from `first` on become weights; what was summed so far is scaled to match. */
static void soften(const Attention *a, Scratch *s, int64_t row, int64_t first, int64_t count, int64_t columns) {
    float *scores = s->scores + row * KEYS;
    const float log2e = 1.44269504f;
    int64_t end = padded(count, LANES);
    __m512 scale = _mm512_set1_ps(a->scale * log2e), high = _mm512_set1_ps(-INFINITY);
    for (int64_t n = 0; n < end; n += LANES) {
        __mmask16 is_key = count - n >= LANES ? 0xffff : (__mmask16)((1 << (count - n)) - 1);
        __m512 x = _mm512_mul_ps(_mm512_loadu_ps(scores + n), scale);
        if (a->bias) {
            __m512 bias = _mm512_maskz_loadu_ps(is_key, a->bias + first + n);
            x = _mm512_fmadd_ps(bias, _mm512_set1_ps(log2e), x);
        }
        x = _mm512_mask_blend_ps(is_key, _mm512_set1_ps(-INFINITY), x);
        _mm512_storeu_ps(scores + n, x);
        high = _mm512_max_ps(high, x);
    }
    float before = s->highest[row], now = fmaxf(before, _mm512_reduce_max_ps(high));
    if (now > before) {
        float change = before == -INFINITY ? 0.0f : exp2f(before - now);
        __m512 factor = _mm512_set1_ps(change);
        float *sums = s->sums + row * columns;
        for (int64_t c = 0; c < columns; c += LANES)
            _mm512_storeu_ps(sums + c, _mm512_mul_ps(_mm512_loadu_ps(sums + c), factor));
        s->total[row] *= change;
        s->highest[row] = now;
    }
    __m512 top = _mm512_set1_ps(now), total = _mm512_setzero_ps();
    for (int64_t n = 0; n < end; n += LANES) {
        __mmask16 is_key = count - n >= LANES ? 0xffff : (__mmask16)((1 << (count - n)) - 1);
        __m512 weight = _mm512_maskz_mov_ps(is_key, power_of_two(_mm512_sub_ps(_mm512_loadu_ps(scores + n), top)));
        total = _mm512_add_ps(total, weight);
        _mm256_storeu_si256((__m256i *)(s->weights + row * KEYS + n), (__m256i)_mm512_cvtneps_pbh(weight));
    }
    s->total[row] += _mm512_reduce_add_ps(total);
}

/* Up to ROWS queries of one head, from query `start` on. */
static void attend_rows(const Attention *a, Scratch *s, int64_t b, int64_t h, int64_t start) {
    int64_t half = a->width / 2, columns = padded(a->value_width, LANES), num_padded = padded(a->num_keys, PACK);
    int64_t count = smaller(ROWS, a->num_queries - start), tiles = padded(count, TILE_ROWS);
    const uint32_t *keys = a->packed_keys + (b * a->heads + h) * num_padded * half;
    const uint32_t *values = a->packed_values + (b * a->heads + h) * num_padded / 2 * columns;
    for (int64_t m = 0; m < tiles; m++) {
        int64_t row = (start + m) * half;
        const bf16 *query = a->queries + b * a->query_strides[0] + h * a->query_strides[1];
        if (m < count)
            place_token(query + (start + m) * a->query_strides[2], s->queries + m * half, a->width,
                        a->query_cosines ? a->query_cosines + row : NULL, a->query_sines + row);
        else
            memset(s->queries + m * half, 0, half * 4);
        s->highest[m] = -INFINITY;
        s->total[m] = 0;
    }
    memset(s->sums, 0, tiles * columns * sizeof(float));
    for (int64_t first = 0; first < a->num_keys; first += KEYS) {
        int64_t num = smaller(KEYS, a->num_keys - first), vectors = padded(num, LANES) / LANES;
        memset(s->scores, 0, tiles * KEYS * sizeof(float));
        for (int64_t n = 0; n * 4 < vectors; n++)
            for (int64_t m = 0; m < tiles; m += TILE_ROWS)
                multiply_wide(s->queries + m * half, half, keys + (first / PACK + n) * half * PACK, PACK,
                              s->scores + m * KEYS + n * PACK, KEYS, half, smaller(4, vectors - 4 * n));
        for (int64_t m = 0; m < tiles; m++) soften(a, s, m, first, num, columns);
        for (int64_t c = 0; c < columns; c += 4 * LANES)
            for (int64_t m = 0; m < tiles; m += TILE_ROWS)
                multiply_wide((const uint32_t *)s->weights + m * KEYS / 2, KEYS / 2, values + first / 2 * columns + c,
                              columns, s->sums + m * columns + c, columns, (num + 1) / 2,
                              smaller(4, (columns - c) / LANES));
    }
    for (int64_t m = 0; m < count; m++) {
        bf16 *out = a->out + b * a->out_strides[0] + h * a->out_strides[1] + (start + m) * a->out_strides[2];
        float over = 1.0f / s->total[m];
        for (int64_t c = 0; c < a->value_width; c++) out[c] = narrow(s->sums[m * columns + c] * over);
    }
}

/* Few queries, as in windows: what one head needs at once, while it is in the cache. */
static void attend_heads(void *argument) {
    Attention *a = argument;
    int64_t tasks = a->batch * a->heads, blocks = padded(a->num_keys, PACK) / PACK;
    for (int64_t task; (task = __atomic_fetch_add(&a->next, 1, __ATOMIC_RELAXED)) < tasks;) {
        int64_t b = task / a->heads, h = task % a->heads;
        for (int64_t block = 0; block < blocks; block++) {
            pack_keys(a, b, h, block);
            pack_values(a, b, h, block);
        }
        for (int64_t start = 0; start < a->num_queries; start += ROWS) attend_rows(a, &scratch, b, h, start);
    }
}

/* Many queries, first part: keys and values are laid out once for all of them. */
static void pack_some(void *argument) {
    Attention *a = argument;
    int64_t blocks = padded(a->num_keys, PACK) / PACK, tasks = a->batch * a->heads * blocks;
    for (int64_t task; (task = __atomic_fetch_add(&a->next, 1, __ATOMIC_RELAXED)) < tasks;) {
        int64_t b = task / (blocks * a->heads), h = task / blocks % a->heads;
        pack_keys(a, b, h, task % blocks);
        pack_values(a, b, h, task % blocks);
    }
}

/* The second: ROWS queries at a time. */
static void attend_some(void *argument) {
    Attention *a = argument;
    int64_t parts = padded(a->num_queries, ROWS) / ROWS, tasks = a->batch * a->heads * parts;
    for (int64_t task; (task = __atomic_fetch_add(&a->next, 1, __ATOMIC_RELAXED)) < tasks;)
        attend_rows(a, &scratch, task / (parts * a->heads), task / parts % a->heads, task % parts * ROWS);
}

static void run(Attention *a, void (*part)(void *)) {
    a->next = 0;
    if (a->parallel)
        a->parallel(part, a, 0, 0);
    else
        part(a);
}

void masklet_attention(Attention *a) {
    if (a->num_queries <= FEW) {
        run(a, attend_heads);
    } else {
        run(a, pack_some);
        run(a, attend_some);
    }
}
