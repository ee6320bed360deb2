/* A quTAG library (first generation, tdcbase.h) whose device delivers a given stream at a steady rate, in real time.
   Tag k is the k-th of the template, which repeats itself shifted by its span. Its ring keeps the last `size` tags. */
#include <stdint.h>
#include <string.h>
#include <time.h>

static const int64_t *template_times;
static const uint8_t *template_channels;
static int64_t template_size, template_span;
static double rate;

static int64_t size = 1000000, delivered, overwritten, overwritten_noted, before;
static int on, readings;
static struct timespec begun;
static double thresholds[5];
static int32_t delays[8], mask = 31;

void feed(const int64_t *times, const uint8_t *channels, int64_t count, int64_t span, double tags_a_second) {
    template_times = times; template_channels = channels; template_size = count; template_span = span;
    rate = tags_a_second;
    delivered = overwritten = overwritten_noted = before = on = readings = 0;
}

/* Tags since the first reading, which begins an acquisition: all that were given, and all that were overwritten. */
int64_t tags_given(void) { return delivered - overwritten; }
int64_t tags_overwritten(void) { return overwritten; }

static int64_t produced(void) {
    struct timespec now;
    if (!on) return before;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return before + (int64_t)(((now.tv_sec - begun.tv_sec) + 1e-9 * (now.tv_nsec - begun.tv_nsec)) * rate);
}

int TDC_getLastTimestamps(int32_t reset, int64_t *times, uint8_t *channels, int32_t *valid) {
    int64_t stop = produced(), first = delivered;
    (void)reset;
    if (stop - first > size) { overwritten += stop - first - size; first = stop - size; }
    *valid = (int32_t)(stop - first);
    for (int64_t k = first; k < stop;) {
        int64_t place = k % template_size, shift = k / template_size * template_span;
        int64_t count = template_size - place < stop - k ? template_size - place : stop - k;
        const int64_t *from = template_times + place;
        for (int64_t i = 0; i < count; i++) times[i] = from[i] + shift;
        memcpy(channels, template_channels + place, count);
        times += count; channels += count; k += count;
    }
    delivered = stop;
    if (!readings++) { before -= stop; delivered = overwritten = 0; }
    return 0;
}

int TDC_enableTdcInput(int32_t enable) {
    if (on && !enable) before = produced();
    if (!on && enable) clock_gettime(CLOCK_MONOTONIC, &begun);
    on = enable;
    return 0;
}

int TDC_getDataLost(int32_t *lost) { *lost = overwritten > overwritten_noted; overwritten_noted = overwritten; return 0; }
double TDC_getVersion(void) { return 1.5; }
const char *TDC_perror(int code) { return code ? "Error" : "Ok"; }
int TDC_getTimebase(double *base) { *base = 1e-12; return 0; }
int TDC_init(int id) { (void)id; return 0; }
int TDC_deInit(void) { return 0; }
int TDC_getDevType(void) { return 0; }
int TDC_enableChannels(int32_t wanted) { mask = wanted; return 0; }
int TDC_getChannelsEnabled(int32_t *found) { *found = mask; return 0; }
int TDC_configureSignalConditioning(int32_t channel, int kind, int32_t edge, double threshold) {
    (void)kind; (void)edge; thresholds[channel] = threshold; return 0;
}
int TDC_getSignalConditioning(int32_t channel, int32_t *edge, double *threshold) {
    *edge = 1; *threshold = thresholds[channel]; return 0;
}
int TDC_setChannelDelays(const int32_t *wanted) { memcpy(delays, wanted, 5 * sizeof *delays); return 0; }
int TDC_getChannelDelays(int32_t *found) { memcpy(found, delays, sizeof delays); return 0; }
int TDC_setTimestampBufferSize(int32_t wanted) { size = wanted; return 0; }
int TDC_getTimestampBufferSize(int32_t *found) { *found = (int32_t)size; return 0; }
int TDC_freezeBuffers(int32_t freeze) { (void)freeze; return 0; }
int TDC_getDeviceParams(int32_t *window, int32_t *exposure) { *window = 1000; *exposure = 100; return 0; }
