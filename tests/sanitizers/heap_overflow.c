/* SPDX-License-Identifier: MIT */
/* Wrong on purpose: reads behind an allocation. */
#include <stdlib.h>

int main(int argc, char **argv)
{
    (void)argv;
    volatile char *memory = calloc(8, 1);
    char found = memory[7 + argc];
    free((void *)memory);
    return found == 'x' ? 0 : 0;
}
