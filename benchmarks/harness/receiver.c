/* A web server for the benchmarks: answers every request and records it. One thread, epoll, keep-alive.
 *
 * receiver RECORD_FILE CAPACITY PORTS EVENTS FAIL_PERCENT DELAY_MS HANG
 *
 * Listens on the PORTS of 127.0.0.1, separated by commas, and prints a line when it does. Each request must contain
 * "bench-" and eight digits, the number of its event, in its body or its first line. The first request for
 * FAIL_PERCENT of the events gets 500, all others get 200, after DELAY_MS. With HANG nothing is answered.
 * RECORD_FILE is mapped into memory: a header, then a record for each request, for `receiver.py` to read
 * meanwhile. Request bodies need a Content-Length. Ends with its standard input.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUFFER (128 * 1024)
#define INITIAL_BUFFER (8 * 1024)
#define MARK "bench-"
#define DIGITS 8

struct header {
    uint64_t records;      /* how many requests are recorded */
    uint64_t delivered;    /* different events with a 200, on each port */
    uint64_t connections;  /* accepted so far */
    uint64_t unreadable;   /* requests without a number, or that break HTTP */
    uint64_t open;         /* connections open now */
    uint64_t reserved[3];
};

struct record {
    uint64_t at;           /* CLOCK_MONOTONIC, in nanoseconds, when the request had been read */
    uint64_t webhook_id;   /* a hash of the header; 0 without one */
    uint32_t event;
    uint16_t port;
    uint16_t status;       /* 0: not answered */
};

struct connection {
    int fd;                /* -1: listens no longer */
    int port;
    int listens;
    uint64_t generation;
    size_t length, size;
    char *buffer;
};

struct delayed {
    uint64_t due, generation;
    struct connection *connection;
    int status;
};

static const char OK[] =
    "HTTP/1.1 200 OK\r\nServer: benchmark\r\nDate: Thu, 26 Nov 2026 12:00:00 GMT\r\n"
    "Content-Type: text/plain\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok";
static const char FAILED[] =
    "HTTP/1.1 500 Internal Server Error\r\nServer: benchmark\r\nDate: Thu, 26 Nov 2026 12:00:00 GMT\r\n"
    "Content-Type: text/plain\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nno";

static struct header *header;
static struct record *records;
static uint64_t capacity, events;
static int fail_percent, delay_ms, hang, epoll;
static unsigned char *failed_once, *delivered;
static struct delayed *queue;
static size_t queue_size, queue_first, queue_count;

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static int test_and_set(unsigned char *bits, uint64_t index) {
    int old = bits[index / 8] >> (index % 8) & 1;
    bits[index / 8] |= (unsigned char)(1 << (index % 8));
    return old;
}

static void drop(struct connection *connection) {
    if (connection->fd < 0) return;
    close(connection->fd);
    connection->fd = -1;
    connection->generation++;
    connection->length = 0;
    header->open--;
}

static void answer(struct connection *connection, int status) {
    const char *text = status == 200 ? OK : FAILED;
    size_t length = status == 200 ? sizeof OK - 1 : sizeof FAILED - 1;
    if (send(connection->fd, text, length, MSG_NOSIGNAL) != (ssize_t)length) drop(connection);
}

static void answer_later(struct connection *connection, int status) {
    if (queue_count == queue_size) {
        size_t size = queue_size ? queue_size * 2 : 1024;
        struct delayed *larger = malloc(size * sizeof *larger);
        if (!larger) die("malloc");
        for (size_t index = 0; index < queue_count; index++)
            larger[index] = queue[(queue_first + index) % queue_size];
        free(queue);
        queue = larger, queue_size = size, queue_first = 0;
    }
    queue[(queue_first + queue_count++) % queue_size] = (struct delayed){
        now() + (uint64_t)delay_ms * 1000000u, connection->generation, connection, status};
}

static void answer_due(void) {
    uint64_t time = now();
    while (queue_count && queue[queue_first].due <= time) {
        struct delayed *one = &queue[queue_first];
        queue_first = (queue_first + 1) % queue_size, queue_count--;
        if (one->connection->generation == one->generation) answer(one->connection, one->status);
    }
}

static const char *field(const char *head, size_t length, const char *name) {
    size_t name_length = strlen(name);
    for (const char *line = head; (line = memmem(line, length - (size_t)(line - head), "\r\n", 2));) {
        line += 2;
        if ((size_t)(line - head) + name_length >= length) return NULL;
        if (!strncasecmp(line, name, name_length) && line[name_length] == ':') {
            line += name_length + 1;
            while (*line == ' ') line++;
            return line;
        }
    }
    return NULL;
}

static uint64_t hash(const char *text) {
    uint64_t value = 14695981039346656037u;
    for (; *text != '\r'; text++) value = (value ^ (unsigned char)*text) * 1099511628211u;
    return value;
}

static long event_number(const char *text, size_t length) {
    const char *found = memmem(text, length, MARK, sizeof MARK - 1);
    if (!found || (size_t)(found - text) + sizeof MARK - 1 + DIGITS > length) return -1;
    long number = 0;
    for (int index = 0; index < DIGITS; index++) {
        int digit = found[sizeof MARK - 1 + (size_t)index] - '0';
        if (digit < 0 || digit > 9) return -1;
        number = number * 10 + digit;
    }
    return (uint64_t)number < events ? number : -1;
}

static void take(struct connection *connection, const char *head, size_t head_length, size_t body_length) {
    long number = event_number(head + head_length, body_length);
    if (number < 0) number = event_number(head, head_length);
    int status = 200;
    if (number < 0) {
        header->unreadable++;
    } else {
        uint64_t index = (uint64_t)connection->port * events + (uint64_t)number;
        /* 61 is prime to 100: the events that fail are spread evenly. */
        if (number * 61 % 100 < fail_percent && !test_and_set(failed_once, index)) status = 500;
        if (hang) status = 0;
        if (header->records < capacity) {
            const char *id = field(head, head_length, "webhook-id");
            records[header->records] = (struct record){
                now(), id ? hash(id) : 0, (uint32_t)number, (uint16_t)connection->port, (uint16_t)status};
            __atomic_store_n(&header->records, header->records + 1, __ATOMIC_RELEASE);
        }
        if (status == 200 && !test_and_set(delivered, index)) header->delivered++;
    }
    if (hang) return;
    if (delay_ms) answer_later(connection, status);
    else answer(connection, status);
}

/* Take all complete requests out of the buffer. */
static void take_requests(struct connection *connection) {
    size_t begin = 0;
    while (connection->fd >= 0) {
        char *head = connection->buffer + begin;
        size_t length = connection->length - begin;
        char *end = memmem(head, length, "\r\n\r\n", 4);
        if (!end) break;
        size_t head_length = (size_t)(end - head) + 4;
        const char *text = field(head, head_length, "content-length");
        size_t body_length = text ? strtoul(text, NULL, 10) : 0;
        if (field(head, head_length, "transfer-encoding")) {
            header->unreadable++;
            drop(connection);
            return;
        }
        if (length < head_length + body_length) break;
        take(connection, head, head_length, body_length);
        begin += head_length + body_length;
    }
    if (connection->fd >= 0 && begin) {
        connection->length -= begin;
        memmove(connection->buffer, connection->buffer + begin, connection->length);
    }
}

static void receive(struct connection *connection) {
    if (connection->length == connection->size) {
        if (connection->size >= BUFFER) {
            header->unreadable++;
            drop(connection);
            return;
        }
        connection->size *= 2;
        connection->buffer = realloc(connection->buffer, connection->size);
        if (!connection->buffer) die("realloc");
    }
    ssize_t got = recv(connection->fd, connection->buffer + connection->length,
                       connection->size - connection->length, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        drop(connection);
        return;
    }
    connection->length += (size_t)got;
    take_requests(connection);
}

static void watch(struct connection *connection) {
    struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, connection->fd, &wanted)) die("epoll_ctl");
}

/* Connections are never freed, so that what is delayed can look at their generation. */
static void accept_all(struct connection *listener) {
    int fd;
    while ((fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        int yes = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        struct connection *connection = calloc(1, sizeof *connection);
        if (!connection || !(connection->buffer = malloc(INITIAL_BUFFER))) die("malloc");
        connection->fd = fd, connection->port = listener->port, connection->size = INITIAL_BUFFER;
        header->connections++;
        header->open++;
        watch(connection);
    }
}

static void listen_on(int number, int port) {
    int yes = 1;
    struct connection *listener = calloc(1, sizeof *listener);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)port)};
    if (!listener) die("malloc");
    listener->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    listener->port = number, listener->listens = 1;
    if (listener->fd < 0 || setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) ||
        bind(listener->fd, (struct sockaddr *)&address, sizeof address) || listen(listener->fd, 4096))
        die("listen");
    watch(listener);
}

int main(int count, char **arguments) {
    if (count != 8) return fprintf(stderr, "receiver: wrong number of arguments\n"), 2;
    capacity = strtoul(arguments[2], NULL, 10);
    uint64_t ports = 1;
    for (const char *comma = arguments[3]; (comma = strchr(comma, ',')); comma++) ports++;
    events = strtoul(arguments[4], NULL, 10);
    fail_percent = atoi(arguments[5]), delay_ms = atoi(arguments[6]), hang = atoi(arguments[7]);

    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);

    size_t bytes = sizeof *header + capacity * sizeof *records;
    int file = open(arguments[1], O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (file < 0 || ftruncate(file, (off_t)bytes)) die(arguments[1]);
    header = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (header == MAP_FAILED) die("mmap");
    records = (struct record *)(header + 1);
    failed_once = calloc(ports * events / 8 + 1, 1);
    delivered = calloc(ports * events / 8 + 1, 1);
    if (!failed_once || !delivered) die("calloc");

    epoll = epoll_create1(0);
    char *port = strtok(arguments[3], ",");
    for (int number = 0; port; port = strtok(NULL, ",")) listen_on(number++, atoi(port));
    printf("ready\n");
    fflush(stdout);

    struct connection parent = {.fd = 0};
    watch(&parent);
    for (;;) {
        int timeout = -1;
        if (queue_count) {
            uint64_t time = now(), due = queue[queue_first].due;
            timeout = due <= time ? 0 : (int)((due - time) / 1000000u) + 1;
        }
        struct epoll_event ready[256];
        int found = epoll_wait(epoll, ready, 256, timeout);
        for (int index = 0; index < found; index++) {
            struct connection *connection = ready[index].data.ptr;
            if (connection == &parent) {
                char ignored[64];
                if (read(0, ignored, sizeof ignored) <= 0) return 0;
            } else if (connection->listens) {
                accept_all(connection);
            } else if (connection->fd >= 0) {
                receive(connection);
            }
        }
        answer_due();
    }
}
