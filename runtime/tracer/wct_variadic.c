#include "wct.h"
