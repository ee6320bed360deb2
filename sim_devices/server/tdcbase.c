/* The quTAG library's stand-in as a shared library: finds Python, and the functions that Python made.
 *
 * Behind this text sim_devices.server.shared_library puts one function for each of the maker's names, and above it
 * TWIN_PYTHON (the interpreter), TWIN_PATH (the folder of the packages), TWIN_GENERATION and TWIN_FUNCTIONS.
 * A process that is Python already lends its interpreter; any other gets one of its own, at the first call.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define TWIN_API __attribute__((visibility("default")))
#define DRIVER_ERROR 3

static void *functions[TWIN_FUNCTIONS];
static const char *const names[TWIN_FUNCTIONS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static int start_python(void)
{
    PyConfig config;
    PyStatus status;

    PyConfig_InitPythonConfig(&config);
    config.parse_argv = 0;
    config.install_signal_handlers = 0;
    status = PyConfig_SetBytesString(&config, &config.program_name, TWIN_PYTHON);
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status))
        fprintf(stderr, "libtdcbase: %s does not start: %s\n", TWIN_PYTHON, status.err_msg ? status.err_msg : "?");
    return !PyStatus_Exception(status);
}

static int add_path(void)
{
    PyObject *path = PySys_GetObject("path");
    PyObject *folder = PyUnicode_DecodeFSDefault(TWIN_PATH);
    int done = path && folder && PyList_Insert(path, 0, folder) == 0;

    Py_XDECREF(folder);
    return done;
}

static int look_up(PyObject *table)
{
    int index;

    for (index = 0; index < TWIN_FUNCTIONS; ++index) {
        PyObject *address = PyMapping_GetItemString(table, names[index]);
        if (!address)
            return 0;
        functions[index] = PyLong_AsVoidPtr(address);
        Py_DECREF(address);
    }
    return 1;
}

static int find_functions(void)
{
    PyObject *module = NULL, *table = NULL;
    int done = 0;

    if (add_path())
        module = PyImport_ImportModule("sim_devices.server.shared_library");
    if (module)
        table = PyObject_CallMethod(module, "functions_of_environment", "i", TWIN_GENERATION);
    if (table)
        done = look_up(table);
    if (!done)
        PyErr_Print();
    Py_XDECREF(table);
    Py_XDECREF(module);
    return done;
}

static void leave(void);

static void load(void)
{
    if (Py_IsInitialized()) {
        PyGILState_STATE state = PyGILState_Ensure();
        find_functions();
        PyGILState_Release(state);
    } else if (start_python()) {
        int found = find_functions();
        PyEval_SaveThread();
        if (found)
            atexit(leave);
    }
}

static void *function(int index)
{
    pthread_once(&once, load);
    return functions[index];
}
