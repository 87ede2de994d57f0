/* SPDX-License-Identifier: MIT */
/* The order of modules: providers first, otherwise as given, and circles told in full. */
#include "migrate/requires.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N_OF(array) (sizeof(array) / sizeof(array)[0])

static const char *const shop[] = {"billing", "users", "mail", "audit"};
enum { BILLING, USERS, MAIL, AUDIT };

static void assert_order(const struct pgdbm__dependency *dependencies, size_t n_dependencies, const size_t expected[4])
{
    size_t order[4] = {99, 99, 99, 99};
    pgdbm_error err = {0};
    assert_int_equal(pgdbm__modules_order(shop, 4, dependencies, n_dependencies, order, &err), PGDBM_OK);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(order[i], expected[i]);
}

static void modules_that_need_nothing_stay_in_the_given_order(void **state)
{
    (void)state;
    assert_order(NULL, 0, (const size_t[]){BILLING, USERS, MAIL, AUDIT});
}

static void a_provider_is_moved_before_its_dependant_and_nobody_else_moves(void **state)
{
    (void)state;
    const struct pgdbm__dependency one[] = {{BILLING, MAIL}};
    assert_order(one, N_OF(one), (const size_t[]){MAIL, BILLING, USERS, AUDIT});
}

static void providers_of_providers_come_first(void **state)
{
    (void)state;
    const struct pgdbm__dependency chain[] = {{BILLING, USERS}, {USERS, MAIL}, {MAIL, AUDIT}};
    assert_order(chain, N_OF(chain), (const size_t[]){AUDIT, MAIL, USERS, BILLING});
}

static void a_provider_of_two_is_there_once_and_before_both(void **state)
{
    (void)state;
    const struct pgdbm__dependency diamond[] = {
        {BILLING, USERS}, {BILLING, MAIL}, {USERS, AUDIT}, {MAIL, AUDIT}, {MAIL, AUDIT}};
    assert_order(diamond, N_OF(diamond), (const size_t[]){AUDIT, USERS, MAIL, BILLING});
}

static void expect_circle(const struct pgdbm__dependency *dependencies, size_t n, const char *expected)
{
    size_t order[4];
    pgdbm_error err = {0};
    assert_int_equal(pgdbm__modules_order(shop, 4, dependencies, n, order, &err), PGDBM_ERR_MIGRATION);
    if (strstr(err.message, expected) == NULL || err.hint[0] == '\0')
        fail_msg("expected \"%s\" and a hint in\n%s\n%s", expected, err.message, err.hint);
}

static void a_circle_is_named_in_full(void **state)
{
    (void)state;
    const struct pgdbm__dependency two[] = {{BILLING, USERS}, {USERS, BILLING}};
    expect_circle(two, N_OF(two), "circle: billing → users → billing");
    const struct pgdbm__dependency three[] = {{USERS, MAIL}, {MAIL, AUDIT}, {AUDIT, USERS}};
    expect_circle(three, N_OF(three), "circle: users → mail → audit → users");
}

static void what_only_leads_to_a_circle_is_no_part_of_it(void **state)
{
    (void)state;
    const struct pgdbm__dependency tail[] = {{BILLING, USERS}, {USERS, MAIL}, {MAIL, USERS}};
    expect_circle(tail, N_OF(tail), "circle: users → mail → users");
}

static void a_module_that_needs_itself_is_a_circle(void **state)
{
    (void)state;
    const struct pgdbm__dependency self[] = {{MAIL, MAIL}};
    expect_circle(self, N_OF(self), "circle: mail → mail");
}

/* As deep as there are modules: an order that recursed would need a stack for it. */
static void a_hundred_thousand_modules_in_a_chain_are_ordered(void **state)
{
    (void)state;
    enum { MODULES = 100000 };
    const char **names = calloc(MODULES, sizeof *names);
    struct pgdbm__dependency *chain = calloc(MODULES, sizeof *chain);
    size_t *order = calloc(MODULES, sizeof *order);
    pgdbm_error err = {0};
    for (size_t i = 0; i < MODULES; i++) {
        names[i] = "module";
        chain[i] = (struct pgdbm__dependency){i, (i + 1) % MODULES};
    }
    assert_int_equal(pgdbm__modules_order(names, MODULES, chain, MODULES - 1, order, &err), PGDBM_OK);
    for (size_t i = 0; i < MODULES; i++)
        assert_int_equal(order[i], MODULES - 1 - i);
    assert_int_equal(pgdbm__modules_order(names, MODULES, chain, MODULES, order, &err), PGDBM_ERR_MIGRATION);
    assert_non_null(strstr(err.message, "100000 modules"));
    assert_non_null(strstr(err.detail, "module → module"));
    free(names);
    free(chain);
    free(order);
}

static void no_modules_have_an_order_too(void **state)
{
    (void)state;
    pgdbm_error err = {0};
    assert_int_equal(pgdbm__modules_order(NULL, 0, NULL, 0, NULL, &err), PGDBM_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modules_that_need_nothing_stay_in_the_given_order),
        cmocka_unit_test(a_provider_is_moved_before_its_dependant_and_nobody_else_moves),
        cmocka_unit_test(providers_of_providers_come_first),
        cmocka_unit_test(a_provider_of_two_is_there_once_and_before_both),
        cmocka_unit_test(a_circle_is_named_in_full),
        cmocka_unit_test(what_only_leads_to_a_circle_is_no_part_of_it),
        cmocka_unit_test(a_module_that_needs_itself_is_a_circle),
        cmocka_unit_test(a_hundred_thousand_modules_in_a_chain_are_ordered),
        cmocka_unit_test(no_modules_have_an_order_too),
    };
    return cmocka_run_group_tests_name("requires", tests, NULL, NULL);
}
