/* What this build holds, and what of it this CPU can run. */
#include "variant.h"

static bool can_run(const struct variant *variant)
{
#if defined(__x86_64__) && !defined(KERNEL_NO_DISPATCH)
    __builtin_cpu_init();
    if (variant == &variant_avx512)
        return __builtin_cpu_supports("avx512f") &&
               __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512vbmi") &&
               __builtin_cpu_supports("avx512vpopcntdq") &&
               __builtin_cpu_supports("bmi2");
    if (variant == &variant_avx2)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
               __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
#else
    (void)variant;
#endif
    return true;
}

size_t variants_supported(const struct variant *supported[], size_t capacity)
{
    static const struct variant *const built[] = {
#if defined(KERNEL_PORTABLE)
        &variant_portable,
#elif defined(KERNEL_NO_DISPATCH) /* the best that the whole build may use */
#if defined(__AVX512VBMI__) && defined(__AVX512VPOPCNTDQ__) && defined(__AVX512VL__)
        &variant_avx512,
#elif defined(__AVX2__)
        &variant_avx2,
#elif defined(__x86_64__)
        &variant_x86_64,
#elif defined(__aarch64__)
        &variant_neon,
#else
        &variant_portable,
#endif
#else
#if defined(__x86_64__)
        &variant_avx512,
        &variant_avx2,
        &variant_x86_64,
#elif defined(__aarch64__)
        &variant_neon,
#endif
        &variant_portable,
#endif
    };
    size_t n = 0;

    for (size_t i = 0; i < sizeof(built) / sizeof(built[0]) && n < capacity; i++)
        if (can_run(built[i]))
            supported[n++] = built[i];
    return n;
}
