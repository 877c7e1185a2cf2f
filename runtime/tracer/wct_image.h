/*
 * wct_image.h: what /proc says of an executed image.
 */
#ifndef WCT_IMAGE_H
#define WCT_IMAGE_H

#include "wct.h"

enum wct_coverage wct_image_coverage(pid_t pid); /* at its exec: what the tracer shows of it */
uint64_t wct_image_key(pid_t pid); /* a number that no other executed image has; a forked child has its parent's */
void wct_image_program(pid_t pid, char *into, size_t room);

#endif
