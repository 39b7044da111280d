/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The journal's line of a change: what the store has now of the objects that it named; or the state
 * as a whole, where that is shorter, part of the change was refused, or the file has grown long.
 * From then on the text of these objects is there, and not in memory.
 *
 * A first delivery, which is all of a state and long, is written while it is read: that waits for
 * the parsing, and has a CPU to spare. What is written so counts if all of it came about.
 */
#include <errno.h>
#include <string.h>

#include "background.h"
#include "change.h"
#include "util.h"

#define ANEW_MIN 1000 /* objects of a state for which a new file is worth it */

enum keep_phase { KEEP_BEGIN, KEEP_ADD, KEEP_SYNC, KEEP_PLACE };

struct change_keeping {
	enum keep_phase phase;
	bool all;     /* the state as a whole */
	bool anew;    /* in a file of its own */
	bool early;   /* while the change was read: as it was staged */
	size_t place; /* in the change, or in the store */
	int64_t *at;  /* of what was added, in that order */
	size_t count;
	size_t room;
	char *scratch;
	size_t scratch_size;
	int rc; /* of the disk */
};

void change_keep_end(struct change *c)
{
	struct change_keeping *k = TAKE_PTR(c->keeping);

	if (!k)
		return;
	if (k->early)
		journal_abandon(c->d->journal); /* what is not in place */
	free(k->at);
	free(k->scratch);
	free(k);
}

static bool in_memory(const struct kube_object *object)
{
	return object && object->where != KUBE_IN_JOURNAL;
}

static bool anything_new(const struct change *c)
{
	struct store_put put;
	size_t place = 0;

	while (store_next_put(c->commit, &place, &put))
		if (in_memory(put.object))
			return true;
	return false;
}

static size_t count_objects(const struct store *store)
{
	size_t objects = 0;

	for (int i = 0; i < KUBE_KINDS; i++)
		objects += store_count(store, i);
	return objects;
}

/* What is to be written; *keeping stays NULL where that is nothing. */
static int plan(struct change *c)
{
	const struct store_result *done = c->commit ? store_so_far(c->commit) : NULL;
	const size_t objects = count_objects(c->d->store);
	struct change_keeping *k;

	if (done && !c->d->behind && !done->refused && !done->removed && !anything_new(c))
		return 0;
	k = calloc(1, sizeof(*k));
	if (!k)
		return -ENOMEM;
	k->all = !done || c->d->behind || done->refused || !strcmp(c->method, "replace");
	k->anew = k->all && (!done || objects >= ANEW_MIN);
	c->keeping = k;
	return 0;
}

/* The next object, or key that is gone; false: there is none. */
static bool next(struct change *c, struct store_put *put)
{
	struct change_keeping *k = c->keeping;

	if (!k->all || k->early)
		return store_next_put(c->commit, &k->place, put);
	*put = (struct store_put){.object = store_next(c->d->store, &k->place)};
	return put->object;
}

/* Is it part of the line? */
static bool belongs(const struct change *c, const struct store_put *put)
{
	if (c->keeping->all)
		return true;
	return put->object ? in_memory(put->object) : put->key != NULL;
}

/* A name as "delete" takes it: no key has anything in it that JSON would have to escape. */
static int gone_text(const char *key, char **text)
{
	const char *name = strchr(key, ' '), *slash = strchr(key, '/');
	int kind = (int)(name - key);

	name++;
	if (slash)
		return asprintf(text,
				"{\"kind\":\"%.*s\",\"metadata\":{\"namespace\":\"%.*s\",\"name\":"
				"\"%s\"}}",
				kind, key, (int)(slash - name), name, slash + 1);
	return asprintf(text, "{\"kind\":\"%.*s\",\"metadata\":{\"name\":\"%s\"}}", kind, key,
			name);
}

static int read_old(struct change *c, const struct kube_object *object)
{
	struct change_keeping *k = c->keeping;
	char *more;

	if (k->scratch_size <= object->length) {
		more = realloc(k->scratch, 2UL * object->length + 1);
		if (!more)
			return -ENOMEM;
		k->scratch = more;
		k->scratch_size = 2UL * object->length + 1;
	}
	return journal_read(c->d->journal, object->at, object->length, k->scratch);
}

static int add(struct change *c, const struct store_put *put, int64_t *at)
{
	struct kube_object *object = put->object;
	_cleanup_free_ char *made = NULL;
	int rc;

	if (object && object->where == KUBE_IN_LINE)
		return journal_add(c->d->journal, object->line, object->length, at);
	if (object && object->where == KUBE_IN_JOURNAL) {
		rc = read_old(c, object);
		return rc ?: journal_add(c->d->journal, c->keeping->scratch, object->length, at);
	}
	if (object)
		made = json_dumps(object->json, JSON_COMPACT);
	else if (gone_text(put->key, &made) < 0)
		made = NULL;
	if (!made)
		return -ENOMEM;
	if (object)
		object->length = (uint32_t)strlen(made);
	return journal_add(c->d->journal, made, strlen(made), at);
}

static int note(struct change_keeping *k, int64_t at)
{
	int64_t *more;

	if (k->count == k->room) {
		more = reallocarray(k->at, 2 * k->room + 16, sizeof(*more));
		if (!more)
			return -ENOMEM;
		k->at = more;
		k->room = 2 * k->room + 16;
	}
	k->at[k->count++] = at;
	return 0;
}

/* Has what is written early become the state? */
static bool is_state(const struct change *c)
{
	const struct change_keeping *k = c->keeping;

	return !c->d->behind && !store_so_far(c->commit)->refused &&
	       k->count == count_objects(c->d->store);
}

/* The next object that was staged. What cannot be written now is tried again as a whole. */
void change_keep_early(struct change *c, const struct item *item)
{
	int64_t at;

	if (c->objects == 1 && c->keep && !c->keeping && (!c->d->change || c->d->change == c) &&
	    !count_objects(c->d->store) && !strcmp(c->method, "replace")) {
		c->keeping = calloc(1, sizeof(*c->keeping));
		if (!c->keeping)
			return;
		*c->keeping = (struct change_keeping){.all = true, .anew = true, .early = true};
		if (journal_begin(c->d->journal, "replace", true))
			change_keep_end(c);
	}
	if (c->keeping &&
	    (journal_add(c->d->journal, item->text, item->length, &at) || note(c->keeping, at)))
		change_keep_end(c);
}

/* Some of them. 1: there are more. */
static int add_some(struct change *c)
{
	struct change_keeping *k = c->keeping;
	struct timespec began;
	struct store_put put;
	int64_t at;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &began);
	while (!rc && next(c, &put)) {
		if (!belongs(c, &put))
			continue;
		rc = add(c, &put, &at);
		rc = rc ?: note(k, at);
		if (!rc && change_is_late(&began))
			return 1;
	}
	return rc ?: journal_end(c->d->journal);
}

/* The text of these objects is in the journal now. */
static void settle(struct change *c)
{
	struct change_keeping *k = c->keeping;
	struct store_put put;

	k->place = 0;
	for (size_t i = 0; next(c, &put);) {
		if (!belongs(c, &put))
			continue;
		if (put.object)
			kube_in_journal(put.object, k->at[i]);
		i++;
	}
	c->d->behind = c->d->behind && !k->all;
}

/* It could not be written: then it stays in memory, as the line does not. */
static void hold(struct change *c, int rc)
{
	struct store_put put;
	size_t place = 0;

	c->d->behind = true;
	daemon_log("the change is in the tables, but could not be written to \"%s\": %s",
		   c->d->options.state_dir, strerror(-rc));
	while (c->commit && store_next_put(c->commit, &place, &put)) {
		struct kube_object *object = put.object;

		if (!object || object->where != KUBE_IN_LINE)
			continue;
		object->json = json_loadb(object->line, object->length, 0, NULL);
		object->where = KUBE_AS_JSON;
	}
}

static int sync_file(void *arg)
{
	const struct change *c = arg;

	return journal_sync(c->d->journal);
}

static void synced(int rc, void *arg)
{
	struct change *c = arg;

	c->keeping->rc = rc;
	c->waiting = false;
	server_kick(c->d->server);
}

/* To the disk before it takes the place of the old one; changes wait meanwhile, and nobody else. */
static int sync_new(struct change *c)
{
	struct change_keeping *k = c->keeping;

	k->phase = KEEP_PLACE;
	c->waiting = c->d->server && !background_do(c->d->background, sync_file, synced, c);
	if (!c->waiting)
		k->rc = journal_sync(c->d->journal);
	return 1;
}

static int step(struct change *c)
{
	struct change_keeping *k = c->keeping;
	int rc;

	switch (k->phase) {
	case KEEP_BEGIN:
		k->phase = k->early ? KEEP_SYNC : KEEP_ADD;
		if (k->early)
			return journal_end(c->d->journal) ?: 1;
		rc = journal_begin(c->d->journal,
				   k->all			? "replace"
				   : strcmp(c->method, "apply") ? "delete"
								: "apply",
				   k->anew);
		return rc ?: 1;
	case KEEP_ADD:
		rc = add_some(c);
		if (rc)
			return rc;
		k->phase = KEEP_SYNC;
		if (k->anew)
			return 1;
		settle(c);
		return 0;
	case KEEP_SYNC:
		return sync_new(c);
	default:
		rc = k->rc;
		if (rc)
			journal_abandon(c->d->journal);
		rc = rc ?: journal_replace(c->d->journal);
		if (!rc)
			settle(c);
		return rc;
	}
}

int change_keep(struct change *c)
{
	int rc;

	if (c->d->coming)
		change_keep_end(c->d->coming); /* the state is not what it was when that began */
	if (c->keeping && c->keeping->phase == KEEP_BEGIN && c->keeping->early && !is_state(c))
		change_keep_end(c);
	rc = c->keeping ? 0 : plan(c);
	if (!rc && !c->keeping)
		return 0;
	rc = rc ?: step(c);
	if (rc < 0) {
		journal_abandon(c->d->journal);
		hold(c, rc);
		rc = 0;
	}
	return rc;
}

json_t *daemon_object_json(struct daemon *d, const struct kube_object *object)
{
	_cleanup_free_ char *read = NULL;

	if (object->where == KUBE_AS_JSON)
		return json_incref(object->json);
	if (object->where == KUBE_IN_LINE)
		return json_loadb(object->line, object->length, 0, NULL);
	read = malloc(object->length + 1UL);
	if (!read || journal_read(d->journal, object->at, object->length, read))
		return NULL;
	return json_loadb(read, object->length, 0, NULL);
}
