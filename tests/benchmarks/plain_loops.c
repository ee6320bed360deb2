/* The loops that a physicist would write in C for the same results, one pass over the tags each, nothing clever.
   Built by the benchmark with -O3 -march=native. Times are int64 ps, channels uint8. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { RING = 64, WINDOW = 1024 };

typedef struct {
    double period, remainder, gate;
    int64_t origin, first_slot;
    int64_t ring_slot[RING], ring_mask[RING];
    int64_t singles[256], gated[16], outcomes[8 * 16 * 4];
} sifter;

static int64_t two_random_bits(int64_t slot, uint64_t key) {
    uint64_t mixed = ((uint64_t)slot + 1) * 0x9E3779B97F4A7C15ull + key;
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9ull;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBull;
    return (int64_t)((mixed ^ (mixed >> 31)) >> 62);
}

static void count_slot(sifter *s, int64_t slot, int64_t mask, const uint8_t *symbols, int64_t length) {
    int64_t place = slot % length;
    int64_t random = (mask & (mask - 1)) ? two_random_bits(slot, 0) : 0;
    s->outcomes[symbols[place < 0 ? place + length : place] << 6 | mask << 2 | random]++;
}

void start(sifter *s, double period, double gate) {
    memset(s, 0, sizeof *s);
    s->period = period;
    s->gate = gate;
    for (int i = 0; i < RING; i++) s->ring_slot[i] = i - RING;
}

size_t sifter_size(void) { return sizeof(sifter); }
const int64_t *sifter_outcomes(const sifter *s) { return s->outcomes; }

/* Fold on the clock, which follows the clicks as ours does; gate; merge the clicks of a slot; count what was sent. */
void sift(sifter *restrict s, const int64_t *restrict times, const uint8_t *restrict channels, int64_t n,
          const uint8_t *restrict bit_of, const int64_t *restrict delay_of, const uint8_t *restrict symbols,
          int64_t length) {
    for (int64_t begin = 0; begin < n; begin += WINDOW) {
        int64_t end = begin + WINDOW < n ? begin + WINDOW : n;
        int64_t origin = s->origin, first_slot = s->first_slot, slot = first_slot, clicks = 0;
        double inverse = 1.0 / s->period, offset = s->remainder * inverse, half_gate = 0.5 * s->gate * inverse;
        double error = 0.0;
        for (int64_t i = begin; i < end; i++) {
            uint8_t channel = channels[i];
            uint8_t bit = bit_of[channel];
            double position = (double)(times[i] - origin - delay_of[channel]) * inverse - offset;
            double nearest = floor(position + 0.5);
            double residual = position - nearest;
            slot = first_slot + (int64_t)nearest;
            s->singles[channel]++;
            if (!bit) continue;
            error += residual * (1.0 - 4.0 * residual * residual);
            clicks++;
            if (residual < -half_gate || residual >= half_gate) continue;
            int64_t cell = slot & (RING - 1);
            s->gated[bit]++;
            if (slot == s->ring_slot[cell]) {
                s->ring_mask[cell] |= bit;
            } else {
                if (s->ring_mask[cell]) count_slot(s, s->ring_slot[cell], s->ring_mask[cell], symbols, length);
                s->ring_slot[cell] = slot;
                s->ring_mask[cell] = bit;
            }
        }
        if (end - begin == WINDOW) {
            double slots = (double)(slot - first_slot);
            double arrival = s->remainder + s->period * slots;
            if (slots > 0 && clicks > 0) {
                error *= s->period / clicks;
                arrival += (0.4 + 0.5 * 0.04) * error;
                s->period += 0.04 * error / slots;
            }
            s->origin += (int64_t)floor(arrival);
            s->remainder = arrival - floor(arrival);
            s->first_slot = slot;
        }
    }
}

void finish(sifter *s, const uint8_t *symbols, int64_t length) {
    for (int i = 0; i < RING; i++)
        if (s->ring_mask[i]) count_slot(s, s->ring_slot[i], s->ring_mask[i], symbols, length);
}

/* The least that could be called sifting: no merging of clicks, no tracking of the clock, hence no memory from tag to
   tag. What is left to do when all that is to be done right costs nothing. */
void sift_singly(const int64_t *restrict times, const uint8_t *restrict channels, int64_t n,
                 const uint8_t *restrict bit_of, const uint8_t *restrict symbols, int64_t length, double period,
                 double gate, int64_t *restrict counts) {
    double inverse = 1.0 / period, half_gate = 0.5 * gate * inverse, inverse_length = 1.0 / length;
    for (int64_t i = 0; i < n; i++) {
        double position = (double)times[i] * inverse;
        double nearest = floor(position + 0.5);
        double residual = position - nearest;
        double place = nearest - floor((nearest + 0.5) * inverse_length) * length;
        int bit = bit_of[channels[i]] & -(residual >= -half_gate && residual < half_gate);
        counts[symbols[(int64_t)place] << 4 | bit]++;
    }
}

/* Pairs of two channels that are at most `window` apart. */
int64_t coincidences(const int64_t *times, const uint8_t *channels, int64_t n, int first, int second, int64_t window,
                     int64_t *singles) {
    int64_t pairs = 0, oldest = 0, firsts = 0, seconds = 0;
    for (int64_t i = 0; i < n; i++) {
        for (; times[oldest] < times[i] - window; oldest++) {
            firsts -= channels[oldest] == first;
            seconds -= channels[oldest] == second;
        }
        singles[channels[i]]++;
        if (channels[i] == first) {
            pairs += seconds;
            firsts++;
        } else if (channels[i] == second) {
            pairs += firsts;
            seconds++;
        }
    }
    return pairs;
}

/* All differences second - first from -reach on, in bins: for each tag, back through the tags within reach. */
void correlate(const int64_t *times, const uint8_t *channels, int64_t n, int first, int second, int64_t bin,
               int64_t bins, int64_t reach, int64_t *histogram) {
    int64_t highest = bin * bins - reach;
    int64_t longest = reach >= highest ? reach : highest - 1;
    int64_t oldest = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t time = times[i];
        int channel = channels[i];
        while (times[oldest] < time - longest) oldest++;
        if (channel != first && channel != second) continue;
        for (int64_t k = oldest; k < i; k++) {
            int64_t difference;
            if (channel == second && channels[k] == first) difference = time - times[k];
            else if (channel == first && channels[k] == second) difference = times[k] - time;
            else continue;
            if (difference >= -reach && difference < highest) histogram[(difference + reach) / bin]++;
        }
    }
}

/* The same by parting the channels first, then two indices through the two lists: the quicker of the two ways. */
int64_t part(const int64_t *times, const uint8_t *channels, int64_t n, int channel, int64_t *kept) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++)
        if (channels[i] == channel) kept[count++] = times[i];
    return count;
}

void correlate_parted(const int64_t *firsts, int64_t n, const int64_t *seconds, int64_t m, int64_t bin, int64_t bins,
                      int64_t reach, int64_t *histogram) {
    int64_t span = bin * bins, oldest = 0;
    for (int64_t j = 0; j < m; j++) {
        int64_t newest = seconds[j] + reach;
        while (oldest < n && firsts[oldest] <= newest - span) oldest++;
        for (int64_t k = oldest; k < n && firsts[k] <= newest; k++) histogram[(newest - firsts[k]) / bin]++;
    }
}

int64_t add_up(const int64_t *times, const uint8_t *channels, int64_t n) {
    int64_t sum = 0;
    for (int64_t i = 0; i < n; i++) sum += times[i];
    for (int64_t i = 0; i < n; i++) sum += channels[i];
    return sum;
}
