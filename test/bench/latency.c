// A network on which a server is further away: `latency HOST PORT MICROSECONDS` carries connections to it, what goes to the
// server so much later. Prints its port, and for each line of input how often clients spoke after the server had: on a
// connection that waits for each answer, its round trips. Two threads for a connection, which sleep to the microsecond.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* More than a flight: what comes in one piece goes in one piece. */
#define PIECE (1 << 20)

struct link { int client, server; atomic_int server_spoke; };
struct way { struct link *link; int to_server; };

static atomic_long trips;
static long delay_us;
static struct sockaddr_in target;

static void wait_until(struct timespec due) {
  due.tv_nsec += delay_us * 1000;
  due.tv_sec += due.tv_nsec / 1000000000;
  due.tv_nsec %= 1000000000;
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) != 0) continue;
}

static void *carry(void *given) {
  struct way *way = given;
  struct link *link = way->link;
  int from = way->to_server ? link->client : link->server, to = way->to_server ? link->server : link->client;
  char *bytes = malloc(PIECE);
  prctl(PR_SET_TIMERSLACK, 1);
  for (ssize_t n; (n = recv(from, bytes, PIECE, 0)) > 0;) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (way->to_server && atomic_exchange(&link->server_spoke, 0)) atomic_fetch_add(&trips, 1);
    if (!way->to_server) atomic_store(&link->server_spoke, 1);
    if (way->to_server && delay_us > 0) wait_until(now);
    for (ssize_t sent = 0; sent < n;) {
      ssize_t some = send(to, bytes + sent, n - sent, MSG_NOSIGNAL);
      if (some <= 0) break;
      sent += some;
    }
  }
  shutdown(to, SHUT_WR);
  free(bytes);
  return NULL;
}

static void begin(struct link *link, int to_server) {
  struct way *way = malloc(sizeof *way);
  *way = (struct way){link, to_server};
  pthread_t thread;
  if (pthread_create(&thread, NULL, carry, way) != 0) abort();
  pthread_detach(thread);
}

static void *serve(void *given) {
  int listener = *(int *)given, one = 1;
  for (;;) {
    struct link *link = malloc(sizeof *link);
    *link = (struct link){accept(listener, NULL, NULL), socket(AF_INET, SOCK_STREAM, 0), 1};
    if (link->client < 0 || connect(link->server, (struct sockaddr *)&target, sizeof target) != 0) {
      close(link->client);
      continue;
    }
    setsockopt(link->client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(link->server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    begin(link, 1);
    begin(link, 0);
  }
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  target = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
  if (inet_pton(AF_INET, argv[1], &target.sin_addr) != 1) return 2;
  delay_us = atol(argv[3]);
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof here;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(listener, (struct sockaddr *)&here, length) != 0 || listen(listener, 64) != 0) return 1;
  getsockname(listener, (struct sockaddr *)&here, &length);
  printf("%d\n", ntohs(here.sin_port));
  fflush(stdout);
  pthread_t thread;
  if (pthread_create(&thread, NULL, serve, &listener) != 0) return 1;
  for (int c; (c = getchar()) != EOF;)
    if (c == '\n') {
      printf("%ld\n", atomic_load(&trips));
      fflush(stdout);
    }
  return 0;
}
