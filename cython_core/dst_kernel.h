/* The loops of dst.h for one instruction set: GX_SUFFIX names it, GX_TARGET is the compiler's attribute. Written so that
 * compilers vectorize it: no branch, no call. */
#define GX_PASTE_(a, b) a##_##b
#define GX_PASTE(a, b) GX_PASTE_(a, b)

GX_TARGET static void GX_PASTE(gx_adam, GX_SUFFIX)(int8_t *restrict levels, const float *restrict gradient,
                                                   float *restrict first, float *restrict second,
                                                   const float *restrict uniform, ptrdiff_t n, gx_dst_options o)
{
    const float magic = 12582912.0f; /* 1.5 * 2**23: adding and subtracting it rounds to the nearest integer */
    const float per_unit = 1.0f / o.dz;
    for (ptrdiff_t i = 0; i < n; i++) {
        const float g = gradient[i];
        const float mean = first[i] + (g - first[i]) * o.beta1;
        const float square = second[i] * (1.0f - o.beta2) + g * g * o.beta2;
        first[i] = mean;
        second[i] = square;
        const float d = -o.rate * mean / (sqrtf(square * o.correction) + o.eps);
        const float w = (float)levels[i] * o.unit;
        const float low = -1.0f - w, high = 1.0f - w;
        float rho = d < low ? low : d;
        rho = (rho > high ? high : rho) * per_unit;
        const float kappa = (float)(int32_t)rho;
        const float x = fabsf(rho - kappa) * o.m;
        /* exp(-2x) = 2**k * exp(f), f in [-ln 2 / 2, ln 2 / 2]; beyond x = 10 tanh is 1 */
        const float y = -2.0f * (x > 10.0f ? 10.0f : x);
        const float shifted = y * 1.44269504f + magic;
        const float k = shifted - magic;
        const float f = (y - k * 0.693359375f) + k * 2.12194440e-4f;
        float e = 1.0f / 720;
        e = e * f + 1.0f / 120;
        e = e * f + 1.0f / 24;
        e = e * f + 1.0f / 6;
        e = e * f + 0.5f;
        e = e * f + 1.0f;
        e = e * f + 1.0f;
        union {
            int32_t bits;
            float value;
        } power = {((int32_t)k + 127) << 23};
        const float t = e * power.value;
        const float tau = (1.0f - t) / (1.0f + t);
        const int32_t sign = rho < 0.0f ? -1 : 1;
        const int32_t moved = (int32_t)rho + (uniform[i] < tau ? sign : 0);
        levels[i] = (int8_t)((int32_t)levels[i] + moved * o.span);
    }
}

GX_TARGET static void GX_PASTE(gx_window, GX_SUFFIX)(const float *restrict y, const float *restrict gradient,
                                                     float *restrict passed, ptrdiff_t n, float edge, float a,
                                                     float slope)
{
    for (ptrdiff_t i = 0; i < n; i++) {
        const float left = a - fabsf(fabsf(y[i]) - edge);
        passed[i] = gradient[i] * ((left > 0.0f ? left : 0.0f) * slope);
    }
}

/* One output pixel of each pair of rows at a time: its channels, from four pixels of x. */
GX_TARGET static void GX_PASTE(gx_pool, GX_SUFFIX)(const float *restrict x, float *restrict y, gx_pool_shape s)
{
    const ptrdiff_t down = s.rows / 2, across = s.cols / 2, row = s.cols * s.channels;
    for (ptrdiff_t i = 0; i < s.frames * down * across; i++) {
        const ptrdiff_t pair = i / across, frame = pair / down;
        const float *a = x + ((frame * s.rows + pair % down * 2) * s.cols + i % across * 2) * s.channels;
        const float *b = a + s.channels, *c = a + row, *d = c + s.channels;
        for (ptrdiff_t k = 0; k < s.channels; k++) {
            float most = a[k];
            most = b[k] > most || b[k] != b[k] ? b[k] : most; /* no number stays none */
            most = c[k] > most || c[k] != c[k] ? c[k] : most;
            most = d[k] > most || d[k] != d[k] ? d[k] : most;
            y[i * s.channels + k] = most;
        }
    }
}

GX_TARGET static void GX_PASTE(gx_pool_back, GX_SUFFIX)(const float *restrict x, const float *restrict y,
                                                        const float *restrict dy, float *restrict dx, gx_pool_shape s)
{
    const ptrdiff_t down = s.rows / 2, across = s.cols / 2, row = s.cols * s.channels;
    if (s.rows % 2 || s.cols % 2) /* pixels in no output */
        memset(dx, 0, sizeof(float) * (size_t)(s.frames * s.rows * row));
    for (ptrdiff_t i = 0; i < s.frames * down * across; i++) {
        const ptrdiff_t pair = i / across, frame = pair / down;
        const ptrdiff_t at = ((frame * s.rows + pair % down * 2) * s.cols + i % across * 2) * s.channels;
        const float *a = x + at, *b = a + s.channels, *c = a + row;
        float *to = dx + at;
        for (ptrdiff_t k = 0; k < s.channels; k++) {
            const float most = y[i * s.channels + k];
            float left = dy[i * s.channels + k]; /* goes to the first that is the largest */
            const float first = a[k] == most ? left : 0.0f;
            left = a[k] == most ? 0.0f : left;
            const float second = b[k] == most ? left : 0.0f;
            left = b[k] == most ? 0.0f : left;
            const float third = c[k] == most ? left : 0.0f;
            left = c[k] == most ? 0.0f : left;
            to[k] = first;
            to[s.channels + k] = second;
            to[row + k] = third;
            to[row + s.channels + k] = left;
        }
    }
}

#undef GX_PASTE_
#undef GX_PASTE
