/* Softmax attention on CPUs with AVX-512, block by block, so that no score ever leaves the cache.
 *
 * Compiled twice. With -DHALF queries, keys, values, weights and the result are bf16, and scores and everything summed
 * fp32; else all is fp32. PyTorch's fused kernel reaches a fifth of a core's arithmetic in fp32 and gains little from
 * bf16 where there is no AMX: it widens to fp32 (docs/benchmarks/speed.md).
 *
 * Beyond what fused kernels take: values of another width than the keys, a bias for each key, and rotary positions,
 * which are applied while queries and keys are laid out anyway.
 */
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef HALF
typedef uint16_t element;
typedef uint32_t word; /* two elements, which are multiplied and summed at once */
enum { TOGETHER = 2, KEYS = 256 };
#else
typedef float element;
typedef float word;
enum { TOGETHER = 1, KEYS = 128 };
#endif

enum { TILE_ROWS = 6, ROWS = 96, PACK = 64, LANES = 16, MAX_WIDTH = 512, FEW = 512, SUMMED = 64 };

typedef struct { /* mirrored in masklet/kernels/__init__.py; strides in elements, of batch, head and token */
    const element *queries, *keys, *values;
    element *out;
    int64_t query_strides[3], key_strides[3], value_strides[3], out_strides[3];
    int64_t batch, heads, num_queries, num_keys, width, value_width;
    const float *bias;                       /* (num_keys,) or NULL */
    const float *query_cosines, *query_sines; /* (num_queries, width / 2) or NULL */
    const float *key_cosines, *key_sines;     /* (key_period, width / 2) or NULL */
    int64_t key_period;                      /* the key in place i has row i % key_period ... */
    int64_t num_placed;                      /* ... if i is below this; else it has no place */
    float scale;
    word *packed_keys;   /* (batch, heads, padded keys / 64, words of width, 64): words of channels */
    word *packed_values; /* (batch, heads, words of padded keys, padded value width): words of keys */
    void (*parallel)(void (*)(void *), void *, unsigned, unsigned); /* GOMP_parallel, or NULL for one thread */
    int64_t next; /* 0: the task that nobody has taken yet */
} Attention;

static inline int64_t padded(int64_t count, int64_t to) { return (count + to - 1) / to * to; }

static inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

#ifdef HALF
static inline float widen(element x) {
    uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static inline element narrow(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return (element)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
#else
static inline float widen(element x) { return x; }

static inline element narrow(float x) { return x; }
#endif

/* One token's channels, each pair turned by its place's angles where it has any. */
static void place_token(const element *x, word *words, int64_t width, const float *cosines, const float *sines) {
    element *placed = (element *)words;
    if (!cosines) {
        memcpy(placed, x, width * sizeof(element));
        return;
    }
    for (int64_t c = 0; c < width / 2; c++) {
        float a = widen(x[2 * c]), b = widen(x[2 * c + 1]);
        placed[2 * c] = narrow(a * cosines[c] - b * sines[c]);
        placed[2 * c + 1] = narrow(a * sines[c] + b * cosines[c]);
    }
}

static void pack_keys(const Attention *a, int64_t b, int64_t h, int64_t block) {
    int64_t words = a->width / TOGETHER, blocks = padded(a->num_keys, PACK) / PACK;
    word *packed = a->packed_keys + ((b * a->heads + h) * blocks + block) * words * PACK;
    word token[MAX_WIDTH];
    int64_t filled = smaller(PACK, padded(a->num_keys - block * PACK, LANES)); /* no more is read */
    for (int64_t i = 0; i < filled; i++) {
        int64_t n = block * PACK + i;
        if (n < a->num_keys) {
            const element *key = a->keys + b * a->key_strides[0] + h * a->key_strides[1] + n * a->key_strides[2];
            int is_placed = a->key_cosines && n < a->num_placed;
            int64_t row = is_placed ? n % a->key_period * (a->width / 2) : 0;
            place_token(key, token, a->width, is_placed ? a->key_cosines + row : NULL, a->key_sines + row);
        } else {
            memset(token, 0, words * sizeof(word));
        }
        for (int64_t c = 0; c < words; c++) packed[c * PACK + i] = token[c];
    }
}

static void pack_values(const Attention *a, int64_t b, int64_t h, int64_t block) {
    int64_t columns = padded(a->value_width, LANES), rows = padded(a->num_keys, PACK) / TOGETHER;
    word *packed = a->packed_values + ((b * a->heads + h) * rows + block * PACK / TOGETHER) * columns;
    const element *values = a->values + b * a->value_strides[0] + h * a->value_strides[1];
    int64_t end = smaller(a->num_keys, (block + 1) * PACK);
    for (int64_t n = block * PACK; n < end; n += TOGETHER, packed += columns) {
        const element *row = values + n * a->value_strides[2];
        for (int64_t c = 0; c < a->value_width; c++) packed[c] = row[c];
#ifdef HALF
        if (n + 1 < end)
            for (int64_t c = 0; c < a->value_width; c++) packed[c] |= (word)row[a->value_strides[2] + c] << 16;
#endif
        memset(packed + a->value_width, 0, (columns - a->value_width) * sizeof(word));
    }
}

#ifdef HALF
static inline __m512 multiply_add(__m512 sum, word left, __m512i right) {
    return _mm512_dpbf16_ps(sum, (__m512bh)_mm512_set1_epi32((int)left), (__m512bh)right);
}
#else
static inline __m512 multiply_add(__m512 sum, word left, __m512i right) {
    return _mm512_fmadd_ps(_mm512_set1_ps(left), _mm512_castsi512_ps(right), sum);
}
#endif

/* out (6, 16 * vectors) += left (6, words) @ right (words, 16 * vectors). */
static inline __attribute__((always_inline)) void multiply(const word *left, int64_t left_stride, const word *right,
                                                           int64_t right_stride, float *out, int64_t out_stride,
                                                           int64_t words, const int vectors) {
    __m512 sums[TILE_ROWS][4];
#pragma GCC unroll 6
    for (int m = 0; m < TILE_ROWS; m++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) sums[m][v] = _mm512_setzero_ps();
    for (int64_t k = 0; k < words; k++) {
        __m512i row[4];
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) row[v] = _mm512_loadu_si512(right + k * right_stride + v * LANES);
#pragma GCC unroll 6
        for (int m = 0; m < TILE_ROWS; m++)
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++)
                sums[m][v] = multiply_add(sums[m][v], left[m * left_stride + k], row[v]);
    }
#pragma GCC unroll 6
    for (int m = 0; m < TILE_ROWS; m++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            float *at = out + m * out_stride + v * LANES;
            _mm512_storeu_ps(at, _mm512_add_ps(_mm512_loadu_ps(at), sums[m][v]));
        }
}

static void multiply_wide(const word *left, int64_t left_stride, const word *right, int64_t right_stride, float *out,
                          int64_t out_stride, int64_t words, int64_t vectors) {
    for (; vectors >= 4; vectors -= 4, right += 4 * LANES, out += 4 * LANES)
        multiply(left, left_stride, right, right_stride, out, out_stride, words, 4);
    if (vectors == 3) multiply(left, left_stride, right, right_stride, out, out_stride, words, 3);
    if (vectors == 2) multiply(left, left_stride, right, right_stride, out, out_stride, words, 2);
    if (vectors == 1) multiply(left, left_stride, right, right_stride, out, out_stride, words, 1);
}

/* 2^x for x <= 0 by its Taylor series: to 3e-5 where weights are rounded to 8 bits afterwards, else to fp32. */
static inline __m512 power_of_two(__m512 x) {
    x = _mm512_max_ps(x, _mm512_set1_ps(-126.0f));
    __m512 whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 rest = _mm512_sub_ps(x, whole); /* in [-1/2, 1/2] */
#ifdef HALF
    __m512 sum = _mm512_set1_ps(0.009618129f);
#else
    __m512 sum = _mm512_set1_ps(1.5252734e-5f);
    sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(1.5403530e-4f));
    sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(1.3333558e-3f));
    sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(0.009618129f));
#endif
    sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(0.055504109f));
    sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(0.240226507f));
    sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(0.693147181f));
    sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(sum, whole);
}

typedef struct {
    float scores[ROWS * KEYS];
    element weights[ROWS * KEYS];
    float sums[ROWS * MAX_WIDTH];
    element queries[ROWS * MAX_WIDTH];
    float highest[ROWS], total[ROWS];
} __attribute__((aligned(64))) Scratch;

static __thread Scratch scratch;

/* Scores of one row against `count` keys from `first` on become weights; what was summed so far is scaled to match. */
static void soften(const Attention *a, Scratch *s, int64_t row, int64_t first, int64_t count, int64_t columns) {
    float *scores = s->scores + row * KEYS;
    const float log2e = 1.44269504f;
    int64_t end = padded(count, LANES);
    /* Scaled and moved in one step below, which rounds only what is left of a score when the highest is taken off. */
    const float factor = a->bias ? 1.0f : a->scale * log2e;
    __m512 high = _mm512_set1_ps(-INFINITY);
    for (int64_t n = 0; n < end; n += LANES) {
        __mmask16 is_key = count - n >= LANES ? 0xffff : (__mmask16)((1 << (count - n)) - 1);
        __m512 x = _mm512_loadu_ps(scores + n);
        if (a->bias) {
            __m512 bias = _mm512_mul_ps(_mm512_maskz_loadu_ps(is_key, a->bias + first + n), _mm512_set1_ps(log2e));
            x = _mm512_fmadd_ps(x, _mm512_set1_ps(a->scale * log2e), bias);
            _mm512_storeu_ps(scores + n, x);
        }
        high = _mm512_mask_max_ps(high, is_key, high, x);
    }
    float before = s->highest[row], now = fmaxf(before, _mm512_reduce_max_ps(high) * factor);
    if (now > before) {
        float change = before == -INFINITY ? 0.0f : exp2f(before - now);
        __m512 less = _mm512_set1_ps(change);
        float *sums = s->sums + row * columns;
        for (int64_t c = 0; c < columns; c += LANES)
            _mm512_storeu_ps(sums + c, _mm512_mul_ps(_mm512_loadu_ps(sums + c), less));
        s->total[row] *= change;
        s->highest[row] = now;
    }
    __m512 top = _mm512_set1_ps(now), total = _mm512_setzero_ps();
    for (int64_t n = 0; n < end; n += LANES) {
        __mmask16 is_key = count - n >= LANES ? 0xffff : (__mmask16)((1 << (count - n)) - 1);
        __m512 below = _mm512_fmsub_ps(_mm512_loadu_ps(scores + n), _mm512_set1_ps(factor), top);
        __m512 weight = _mm512_maskz_mov_ps(is_key, power_of_two(below));
        total = _mm512_add_ps(total, weight);
#ifdef HALF
        _mm256_storeu_si256((__m256i *)(s->weights + row * KEYS + n), (__m256i)_mm512_cvtneps_pbh(weight));
#else
        _mm512_storeu_ps(s->weights + row * KEYS + n, weight);
#endif
    }
    s->total[row] += _mm512_reduce_add_ps(total);
}

/* Up to ROWS queries of one head, from query `start` on. */
static void attend_rows(const Attention *a, Scratch *s, int64_t b, int64_t h, int64_t start) {
    int64_t words = a->width / TOGETHER, columns = padded(a->value_width, LANES);
    int64_t num_padded = padded(a->num_keys, PACK), across = KEYS / TOGETHER;
    word *placed = (word *)s->queries;
    int64_t count = smaller(ROWS, a->num_queries - start), tiles = padded(count, TILE_ROWS);
    const word *keys = a->packed_keys + (b * a->heads + h) * num_padded * words;
    const word *values = a->packed_values + (b * a->heads + h) * num_padded / TOGETHER * columns;
    for (int64_t m = 0; m < tiles; m++) {
        int64_t row = (start + m) * (a->width / 2);
        const element *query = a->queries + b * a->query_strides[0] + h * a->query_strides[1];
        if (m < count)
            place_token(query + (start + m) * a->query_strides[2], placed + m * words, a->width,
                        a->query_cosines ? a->query_cosines + row : NULL, a->query_sines + row);
        else
            memset(placed + m * words, 0, words * sizeof(word));
        s->highest[m] = -INFINITY;
        s->total[m] = 0;
    }
    memset(s->sums, 0, tiles * columns * sizeof(float));
    for (int64_t first = 0; first < a->num_keys; first += KEYS) {
        int64_t num = smaller(KEYS, a->num_keys - first), vectors = padded(num, LANES) / LANES;
        memset(s->scores, 0, tiles * KEYS * sizeof(float));
        for (int64_t n = 0; n * 4 < vectors; n++)
            for (int64_t m = 0; m < tiles; m += TILE_ROWS)
                for (int64_t c = 0; c < words; c += SUMMED) /* long sums in parts: each addition rounds less */
                    multiply_wide(placed + m * words + c, words, keys + ((first / PACK + n) * words + c) * PACK, PACK,
                                  s->scores + m * KEYS + n * PACK, KEYS, smaller(SUMMED, words - c),
                                  smaller(4, vectors - 4 * n));
        for (int64_t m = 0; m < tiles; m++) soften(a, s, m, first, num, columns);
        for (int64_t c = 0; c < columns; c += 4 * LANES)
            for (int64_t m = 0; m < tiles; m += TILE_ROWS)
                multiply_wide((const word *)s->weights + m * across, across, values + first / TOGETHER * columns + c,
                              columns, s->sums + m * columns + c, columns, (num + TOGETHER - 1) / TOGETHER,
                              smaller(4, (columns - c) / LANES));
    }
    for (int64_t m = 0; m < count; m++) {
        element *out = a->out + b * a->out_strides[0] + h * a->out_strides[1] + (start + m) * a->out_strides[2];
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
