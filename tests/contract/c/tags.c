/* A program as somebody writes it who has the maker's header: histograms, g(2), a file, and all tags as text. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef int32_t Int32;
typedef int64_t Int64;
typedef uint8_t Uint8;
typedef Int32 Bln32;
typedef struct {
    Int32 capacity, size, binWidth, indexOffset;
    double values[];
} TDC_HbtFunction;

const char *TDC_perror(int rc);
double TDC_getVersion(void);
int TDC_init(int deviceId);
int TDC_deInit(void);
int TDC_getTimebase(double *timebase);
int TDC_enableChannels(Int32 channelMask);
int TDC_setTimestampBufferSize(Int32 size);
int TDC_setExposureTime(Int32 expTime);
int TDC_enableStartStop(Bln32 enable);
int TDC_addHistogram(Int32 startCh, Int32 stopCh, Bln32 add);
int TDC_getHistogram(Int32 chStart, Int32 chStop, Bln32 reset, Int32 *data, Int32 *count, Int32 *tooSmall,
                     Int32 *tooLarge, Int32 *starts, Int32 *stops, Int64 *expTime);
int TDC_enableHbt(Bln32 enable);
int TDC_setHbtParams(Int32 binWidth, Int32 binCount);
int TDC_setHbtInput(Int32 channel1, Int32 channel2);
TDC_HbtFunction *TDC_createHbtFunction(void);
int TDC_getHbtCorrelations(Bln32 forward, TDC_HbtFunction *fct);
void TDC_releaseHbtFunction(TDC_HbtFunction *fct);
int TDC_writeTimestamps(const char *filename, int format);
int TDC_getLastTimestamps(Bln32 reset, Int64 *timestamps, Uint8 *channels, Int32 *valid);

#define SIZE 1000

static void check(const char *what, int rc)
{
    if (rc) {
        printf("%s: %d %s\n", what, rc, TDC_perror(rc));
        TDC_deInit();
        exit(1);
    }
}

int main(int argc, char **argv)
{
    static Int64 times[SIZE];
    static Uint8 channels[SIZE];
    Int32 valid = 0, count = 0, starts = 0, stops = 0, i;
    Int64 span = 0;
    double base = 0;
    TDC_HbtFunction *function;

    check("init", TDC_init(-1));
    check("timebase", TDC_getTimebase(&base));
    printf("base %g\n", base);
    check("channels", TDC_enableChannels(0x06));
    check("buffer", TDC_setTimestampBufferSize(SIZE));
    check("startstop", TDC_enableStartStop(1));
    check("add", TDC_addHistogram(1, 2, 1));
    check("params", TDC_setHbtParams(10, 20));
    check("input", TDC_setHbtInput(1, 2));
    check("hbt", TDC_enableHbt(1));
    check("file", TDC_writeTimestamps(argc > 1 ? argv[1] : "", 1));
    puts("ready");
    fflush(stdout);
    getchar();
    check("tags", TDC_getLastTimestamps(1, times, channels, &valid));
    for (i = 0; i < valid; ++i)
        printf("tag %lld %d\n", (long long)times[i], channels[i]);
    check("histogram", TDC_getHistogram(1, 2, 0, NULL, &count, NULL, NULL, &starts, &stops, &span));
    printf("histogram %d %d %d %lld\n", count, starts, stops, (long long)span);
    function = TDC_createHbtFunction();
    check("correlations", TDC_getHbtCorrelations(0, function));
    for (i = 0; i < function->size; ++i)
        if (function->values[i] > 0)
            printf("bin %d %g\n", i, function->values[i]);
    TDC_releaseHbtFunction(function);
    i = TDC_setExposureTime(70000);
    printf("exposure %d %s\n", i, TDC_perror(i));
    check("deInit", TDC_deInit());
    return 0;
}
