"""Arithmetic. Only names and results behind pointers are told; remquo leaves quo alone for some arguments."""

TEXT = """
sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh(x) ->
sinf cosf tanf asinf acosf atanf sinhf coshf tanhf(x) ->
exp exp2 exp10 expm1 log log2 log10 log1p logb(x) ->
expf exp2f expm1f logf log2f log10f log1pf logbf(x) ->
sqrt cbrt ceil floor trunc round rint nearbyint fabs erf erfc tgamma lgamma gamma(x) ->
sqrtf cbrtf ceilf floorf truncf roundf rintf nearbyintf fabsf erff erfcf tgammaf lgammaf(x) ->
sqrtl ceill floorl truncl roundl rintl fabsl(x) ->
lrint llrint lround llround ilogb significand j0 j1 y0 y1(x) ->
pow fmod remainder hypot fmax fmin fdim copysign nextafter(x, y) ->
powf fmodf remainderf hypotf fmaxf fminf fdimf copysignf nextafterf(x, y) ->
atan2 atan2f(y, x) ->
fma fmaf(x, y, z) ->
ldexp ldexpf scalbn scalbnf(x, exp) ->
jn yn(n, x) ->
frexp frexpf frexpl(x, exp:out!) ->
modf modff modfl(x, iptr:out!) ->
remquo remquof remquol(x, y, quo:out?) ->
lgamma_r lgammaf_r lgammal_r(x, signp:out!) ->
sincos sincosf sincosl(x, sin:out!, cos:out!) ->
nan nanf nanl(tagp:str) ->
abs labs llabs(j) ->
div ldiv lldiv(numerator, denominator) ->
ffs ffsl ffsll(i) ->
"""
